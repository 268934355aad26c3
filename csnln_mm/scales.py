"""The scales that networks are built for: a further one is a further entry of ``KERNELS``."""

# (kernel, stride, padding) of the convolutions that change a map's size, by factor (section 5.2).
KERNELS = {2: (6, 2, 2), 3: (9, 3, 3), 4: (8, 4, 2)}

SCALES = tuple(KERNELS)
