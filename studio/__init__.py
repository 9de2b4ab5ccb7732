"""The domain of HuaBan: documents, objects, media, providers and pipelines. It imports none of the other rooms."""
