"""mimovl: MiMo-VL end to end and small. Start at ``recipes/tiny.yaml`` and ``mimovl.pipeline``."""

__all__ = ["__version__"]

__version__ = "0.1.0"
