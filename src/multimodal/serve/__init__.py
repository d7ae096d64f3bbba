"""A run behind HTTP: the Open Inference Protocol v2, plain rows, and a page to try it.

Needs the extra `serve`: FastAPI, uvicorn, prometheus_client and python-multipart.
"""
