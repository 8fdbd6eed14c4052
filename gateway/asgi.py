"""The app for ASGI servers: `uvicorn gateway.asgi:app`. `llm-gateway serve` also sets up the server itself."""

import os

from gateway.startup import build, exit_on_problems

with exit_on_problems():
    app = build(os.environ)
