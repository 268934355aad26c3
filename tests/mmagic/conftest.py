import csnln_mm.mmagic  # noqa: F401  whose registered names the configs of these tests use
