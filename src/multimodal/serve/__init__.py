"""A run behind HTTP: the Open Inference Protocol v2, and plain rows.

Needs the extra `serve`: FastAPI, uvicorn, prometheus_client and python-multipart.
"""
