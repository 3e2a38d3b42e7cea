"""A server that behaves as TensorFlow Serving's documentation and source say, for tests where the real one is not.

It serves one base path over REST and gRPC: tf.saved_model.load for models, tensorflow-serving-api for messages.

    json_tensors   the REST API's JSON to tensors and back     tensorflow.org/tfx/serving/api_rest, util/json_tensor.cc
    versions       polling, loading, warming up, unloading     saved_model_warmup, file_system_storage_path_source.cc
    predict        one request on one version                  servables/tensorflow/predict_util.cc
    rest           HTTP routes and codes                       model_servers/http_rest_api_util.cc, http_server.cc
    rpc            PredictionService and ModelService          apis/*.proto
"""

from tf_serving_conformance.server import ConformanceServer

__all__ = ["ConformanceServer"]
