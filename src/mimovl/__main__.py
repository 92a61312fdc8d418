"""``python -m mimovl``, which torchrun starts: torchrun --nproc-per-node 2 -m mimovl train RECIPE --out DIR."""

from mimovl.cli import main

if __name__ == "__main__":
    main()
