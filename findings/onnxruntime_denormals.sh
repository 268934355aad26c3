#!/usr/bin/env bash
# onnxruntime 1.32.0 (numpy 2.4.6, onnx 1.23.2, Python 3.11 or later, x86-64 Linux)
#
# The session option `session.set_denormal_as_zero` looks like a setting of one session. It changes
# the floating-point mode of the thread that *creates* the session, before anything is run: from
# then on numpy, too, gets 0 in place of numbers below float32's smallest normal one. Deleting the
# session does not bring them back, a second session without the option does not either, and threads
# that are started later inherit the mode.
#
# A guess: it holds inside that session's runs. Seen:
#   before          1e-40 here, 1e-40 in a new thread
#   created         0 here, 0 in a new thread
#   deleted         0 here, 0 in a new thread
#   plain session   0 here, 0 in a new thread
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q onnxruntime==1.32.0 numpy==2.4.6 onnx==1.23.2
"$folder/env/bin/python" - <<'PYTHON'
import threading

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

TINY = np.array([1e-30], np.float32)


def here():
    """1e-40, which float32 has as a denormal number, or 0."""
    return float((TINY * np.float32(1e-10))[0])


def in_a_new_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(here()))
    thread.start()
    thread.join()
    return results[0]


def look(when):
    seen = here() > 0, in_a_new_thread() > 0
    print(f'{when:14}', *('1e-40' if kept else '0' for kept in seen))
    return seen


x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in 'xy')
graph = helper.make_graph([helper.make_node('Relu', ['x'], ['y'])], 'graph', [x], [y])
opset = helper.make_opsetid('', 17)
model = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
options = onnxruntime.SessionOptions()
options.add_session_config_entry('session.set_denormal_as_zero', '1')

assert look('before') == (True, True)
session = onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
assert look('created') == (False, False)
del session
assert look('deleted') == (False, False)
plain = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
plain.run(None, {'x': np.ones(1, np.float32)})
assert look('plain session') == (False, False)
PYTHON
