"""Sequential is enough: a recurrent network forecasts one series, one step ahead.

    python scripts/examples/series_forecast.py --data daily-min-temperatures.csv --season 365
    python scripts/examples/series_forecast.py --data airline-passengers.csv --season 12 \\
        --window 24 --epochs 200 --log 1

The file has a date and a number per row; a season is the number of rows after which it repeats, and
`--log 1` learns the logarithm. The last fifth is for testing; the network stands beside the last
value and the value one season ago.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
from drawn import cosine, options

from multimodal.encoders import RecurrentSeriesEncoder


def main() -> None:
    """Train on four fifths of the series, print the mean absolute errors on the rest."""
    given = options(__doc__, data=Path, season=int, window=30, epochs=15, log=0)
    keras.utils.set_random_seed(0)
    series = pd.read_csv(given.data).iloc[:, 1].to_numpy("float32")
    values = np.log(series) if given.log else series
    size, cut = given.window, len(values) * 4 // 5
    windows = np.lib.stride_tricks.sliding_window_view(values, size)[:-1, :, None]
    level, scale = windows.mean(1), values[:cut].std()
    x, y = (windows - level[:, None]) / scale, (values[size:, None] - level) / scale
    learned = slice(0, cut - size)
    encoder = RecurrentSeriesEncoder(32, pooling="last")
    model = keras.Sequential([keras.Input((size, 1)), encoder, keras.layers.Dense(1)])
    schedule = cosine(1e-2, cut - size, 32, given.epochs)
    model.compile(keras.optimizers.Adam(schedule), "huber")
    model.fit(x[learned], y[learned], batch_size=32, epochs=given.epochs, verbose=0)
    guess = (model.predict(x[cut - size :], verbose=0) * scale + level[cut - size :])[:, 0]
    season = given.season
    forecasts = {
        "Sequential RNN": np.exp(guess) if given.log else guess,
        "last value": series[cut - 1 : -1],
        "one season ago": series[cut - season : -season],
    }
    for name, forecast in forecasts.items():
        print(f"{name}: MAE {np.abs(forecast - series[cut:]).mean():.3f}")


if __name__ == "__main__":
    main()
