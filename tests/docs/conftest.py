import csnln_mm.mmagic  # noqa: F401  before MMagic itself, which may need the stand-ins
