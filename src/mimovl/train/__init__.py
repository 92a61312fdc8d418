"""Packed batches in, checkpoints out: stages, loss, optimizers, resume points."""

from mimovl.train.config import LoadingConfig, OptimizerConfig, StageConfig
from mimovl.train.loaders import Samples
from mimovl.train.loss import LanguageModelLoss, language_model_loss, token_losses
from mimovl.train.metrics import MetricsLog, peak_memory_mb
from mimovl.train.optimizer import Optimizer, learning_rate_factor, set_trainable
from mimovl.train.spikes import SpikeConfig
from mimovl.train.trackers import Tracking, TrackingConfig, check_trackers
from mimovl.train.trainer import Progress, train_stage

__all__ = [
    "LanguageModelLoss",
    "LoadingConfig",
    "MetricsLog",
    "Optimizer",
    "OptimizerConfig",
    "Progress",
    "Samples",
    "SpikeConfig",
    "StageConfig",
    "Tracking",
    "TrackingConfig",
    "check_trackers",
    "language_model_loss",
    "learning_rate_factor",
    "peak_memory_mb",
    "set_trainable",
    "token_losses",
    "train_stage",
]
