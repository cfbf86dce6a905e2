"""What Uvicorn and FastAPI reach with nothing to do: canned.py ANSWER LOG --port PORT.

The options are those of our server, which writes its own line per request where this one may write
Uvicorn's.
"""

import sys

import uvicorn
from fastapi import FastAPI, Request, Response

answer, log, _, port = sys.argv[1:]
app = FastAPI()


@app.get("/hello")
async def hello():
    return {"hello": "world"}


@app.post("/v1/quote")
async def canned(request: Request):
    await request.body()
    return Response(answer, media_type="application/json")


uvicorn.run(app, port=int(port), lifespan="off", server_header=False, access_log=log == "log")
