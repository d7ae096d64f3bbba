"""Kill a training again and again, and show that it ends with the weights it would have had.

    python scripts/chaos.py [--kills 20] [--seed 0] [--epochs 30]

One process trains on generated products undisturbed. Then the same training is started again and
again in another directory and killed with SIGKILL at random steps, some of them while a checkpoint
is being written, until it is through; dropout, shuffling, augmentation, schedule, early stopping
and a moving average are on. Printed are the steps that each life executed, and whether the weights
are equal.

Writing is made slow, so that a kill can hit it. Exits with 1 where a weight differs, where there
were fewer kills than asked for, or too few of them late, in mid-epoch or in mid-save.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
EVERY = 2.0  # seconds of training between checkpoints


def train(out: Path, notes: Path, epochs: int) -> None:
    """Train, or go on with the training; note the number of every step that is executed."""
    import keras

    import multimodal
    from multimodal.data.generated import CONFIG, TARGET, catalogue
    from multimodal.models.training import checkpoints

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            with notes.open("a") as file:
                file.write(f"{os.getpid()} {int(self.model.optimizer.iterations)}\n")

    def slowly(path: Path, force=checkpoints.force) -> None:
        time.sleep(0.2)
        force(path)

    checkpoints.force = slowly
    training = {
        "epochs": epochs,
        "ema_momentum": 0.98,
        "baselines": False,
        "patience": 8,
        "checkpoint_seconds": EVERY,
    }
    config = multimodal.Config().merge(**CONFIG, training=training)
    multimodal.train(catalogue("small")[0], TARGET, out=out, config=config, callbacks=[Note()])


def start(out: Path, notes: Path, epochs: int) -> subprocess.Popen[bytes]:
    """Start a process that trains."""
    command = [sys.executable, __file__, "--child", str(out), str(notes), "--epochs", str(epochs)]
    with notes.with_suffix(".err").open("wb") as errors:
        return subprocess.Popen(command, stderr=errors)


def steps_of(notes: Path, process: int) -> list[int]:
    """Return the steps that a process has noted."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith(f"{process} ")]


def kill(process: subprocess.Popen[bytes], out: Path, notes: Path, after: int, saving: bool) -> str:
    """Kill a process after some steps of its own; return what it was doing then, or nothing."""
    while process.poll() is None:
        if len(steps_of(notes, process.pid)) >= after:
            writes = any((out / "checkpoints").glob("*.partial"))
            if writes or not saving:
                process.send_signal(signal.SIGKILL)
                process.wait()
                return "writing a checkpoint" if writes else "training"
        time.sleep(0.01)
    return ""


def chaos(folder: Path, kills: int, seed: int, epochs: int, per_epoch: int) -> bool:
    """Kill and start again until the training is through; return whether kills fell everywhere."""
    out, notes, draw = folder / "killed", folder / "killed.txt", random.Random(seed)
    done, late, middle, saves = 0, 0, 0, 0
    print(f"{'life':>4}  {'steps executed':16}{'repeated':>9}  killed while")
    for life in range(1, kills + 2):
        process = start(out, notes, epochs)
        doing = ""
        if life <= kills:
            doing = kill(process, out, notes, draw.randint(1, 30), saving=life % 9 == 4)
        if process.wait() > 0:
            sys.exit(notes.with_suffix(".err").read_text())
        steps = steps_of(notes, process.pid)
        repeated = max(0, done - steps[0] + 1) if steps else 0
        done = max([done, *steps])
        shown = f"{steps[0]} to {steps[-1]}" if steps else "none"
        print(f"{life:>4}  {shown:16}{repeated:>9}  {doing or 'not killed'}", flush=True)
        if not doing:
            break
        late += any((out / "checkpoints").glob("0*.npz"))
        middle += bool(steps) and steps[-1] % per_epoch > 0
        saves += doing != "training"
    print(
        f"{life - 1} kills: {late} after the first checkpoint, {middle} in the middle of an epoch, "
        f"{saves} while a checkpoint was written"
    )
    return life > kills and late >= 0.75 * kills and middle > 0 and saves > 0


def differing(one: Path, other: Path) -> list[str]:
    """Return the weights that differ in any bit between two runs."""
    import numpy as np

    import multimodal
    from multimodal.cli import load_backend

    load_backend()
    models = [multimodal.load(path).model for path in (one, other)]
    pairs = zip(models[0].weights, *(model.get_weights() for model in models), strict=True)
    return [weight.path for weight, a, b in pairs if not np.array_equal(a, b)]


def main() -> None:
    """Train undisturbed, train with kills, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        train(*arguments.child, arguments.epochs)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = start(folder / "whole", folder / "whole.txt", arguments.epochs)
        process.wait()
        steps = len(steps_of(folder / "whole.txt", process.pid))
        log = (folder / "whole" / "training_log.csv").read_text().splitlines()
        per_epoch = steps // (len(log) - 1)
        print(f"undisturbed: {steps} steps, {per_epoch} an epoch")
        fair = chaos(folder, arguments.kills, arguments.seed, arguments.epochs, per_epoch)
        wrong = differing(folder / "whole", folder / "killed")
    print(f"weights that differ: {', '.join(wrong) or 'none'}")
    sys.exit(bool(wrong) or not fair)


if __name__ == "__main__":
    main()
