"""Packed batches in, checkpoints out: stages, loss, optimizers, resume points."""

from mimovl.train.config import LoadingConfig, OptimizerConfig, StageConfig
from mimovl.train.loaders import Samples
from mimovl.train.loss import LanguageModelLoss, language_model_loss, token_losses
from mimovl.train.optimizer import Optimizer, learning_rate_factor, set_trainable
from mimovl.train.trainer import MetricsLog, Progress, peak_memory_mb, train_stage

__all__ = [
    "LanguageModelLoss",
    "LoadingConfig",
    "MetricsLog",
    "Optimizer",
    "OptimizerConfig",
    "Progress",
    "Samples",
    "StageConfig",
    "language_model_loss",
    "learning_rate_factor",
    "peak_memory_mb",
    "set_trainable",
    "token_losses",
    "train_stage",
]
