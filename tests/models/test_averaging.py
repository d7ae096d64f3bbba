import keras
import numpy as np

from multimodal.models.build import average, fold_models, head_layer


def _model(bias: float) -> keras.Model:
    inputs = {
        "table_numeric": keras.Input((2,), name="table_numeric"),
        "table_categorical": keras.Input((1,), dtype="int32", name="table_categorical"),
    }
    joined = keras.layers.Concatenate()(
        [inputs["table_numeric"], keras.ops.cast(inputs["table_categorical"], "float32")]
    )
    head = keras.layers.Dense(1, bias_initializer=keras.initializers.Constant(bias), name="price")
    return keras.Model(inputs, {"price": head(joined)}, name="multimodal")


ROWS = {
    "table_numeric": np.array([[0.5, -1.0], [2.0, 3.0]], "float32"),
    "table_categorical": np.array([[1], [4]], "int32"),
}


def test_the_mean_of_the_members_survives_saving(tmp_path):
    each = [_model(bias) for bias in (0.0, 1.0, 5.0)]
    wanted = np.mean([np.asarray(model.predict(ROWS, verbose=0)["price"]) for model in each], 0)
    model = average(each)
    assert {k: tuple(v.shape) for k, v in model.input.items()} == {
        k: tuple(v.shape) for k, v in each[0].input.items()
    }
    np.testing.assert_allclose(model.predict(ROWS, verbose=0)["price"], wanted, rtol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(ROWS, verbose=0)["price"], wanted, rtol=1e-6)
    assert [m.name for m in fold_models(loaded)] == ["member_0", "member_1", "member_2"]
    assert head_layer(loaded, "price").units == 1


def test_one_model_stays_itself():
    model = _model(0.0)
    assert average([model]) is model
    assert fold_models(model) == [model]
    assert head_layer(model, "price") is model.get_layer("price")
