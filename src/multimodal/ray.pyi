from multimodal.integrations.ray import ExtractFeatures as ExtractFeatures
from multimodal.integrations.ray import PredictRows as PredictRows
from multimodal.integrations.ray import PrepareRows as PrepareRows
from multimodal.integrations.ray import predict as predict
from multimodal.integrations.ray import prepare as prepare
