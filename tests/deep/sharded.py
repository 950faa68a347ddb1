"""Asks whether TorchRec's planner can divide the towers' tables among two devices, here two processes on the CPU.

    .venv/guests/torch/bin/python -m tests.deep.sharded

It prints where each table went, and ends with an error unless histories have the vectors of one process, to the bit.
No part of `make test`: it takes ten seconds of processor, and no code of ours stands on more than one device.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import distributed, multiprocessing
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.types import ParameterConstraints
from torchrec.distributed.types import ShardingEnv

from recommender.generators.deep.training import two_tower_torch
from recommender.generators.deep.training.examples import Examples
from tests.deep.small_training import SMALL_GIVEN, SMALL_SETTINGS

N_PROCESSES = 2


def compare(rank: int) -> None:
    """One of the processes."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(N_PROCESSES)}
    distributed.init_process_group("gloo", rank=rank, world_size=N_PROCESSES)
    world = distributed.group.WORLD
    # A table that is divided is drawn again where it goes: by a rule, so that it is the same one.
    two_tower_torch.nn.init.normal_ = by_rule
    torch.manual_seed(3)
    model = two_tower_torch.TwoTowers(n_items=5, n_facts=3, n_categories=3, dim=4, width=6)
    torch.nn.init.uniform_(model.person.narrow)
    batch = Examples(SMALL_GIVEN, SMALL_SETTINGS).drawn(np.arange(3), np.random.default_rng(1))
    alone = model.person(batch.histories)
    sharders = [EmbeddingBagCollectionSharder()]
    # Tables as small as these it would rather copy to each device.
    whole = ParameterConstraints(sharding_types=["table_wise"])
    tables = dict.fromkeys((two_tower_torch.ITEMS, two_tower_torch.CATEGORIES), whole)
    planner = EmbeddingShardingPlanner(topology=Topology(N_PROCESSES, "cpu"), constraints=tables)
    plan = planner.collective_plan(model, sharders, world)
    if not rank:
        print(plan)  # noqa: T201 - what it is for
    divided = DistributedModelParallel(
        model, env=ShardingEnv.from_process_group(world), device=torch.device("cpu"), plan=plan, sharders=sharders
    )
    if not torch.equal(divided.module.person(batch.histories), alone):
        raise SystemExit("The vectors differ.")
    print(f"process {rank}: equal to the last bit")  # noqa: T201 - likewise


def by_rule(weights: torch.Tensor, **_: float) -> torch.Tensor:
    """Weights that hang on their places alone."""
    with torch.no_grad():
        return weights.copy_(torch.sin(torch.arange(weights.numel(), dtype=torch.float32)).view_as(weights))


if __name__ == "__main__":
    multiprocessing.spawn(compare, nprocs=N_PROCESSES)
