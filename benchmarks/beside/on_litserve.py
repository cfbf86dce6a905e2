"""Our model on LitServe: on_litserve.py --port PORT."""

import sys

import litserve
from quotes import quote


class Quotes(litserve.LitAPI):
    """Answers a case."""

    def setup(self, device):
        """Nothing: the model is small, and is there."""

    def predict(self, case):
        return quote(case)


if __name__ == "__main__":
    server = litserve.LitServer(Quotes(api_path="/v1/quote"), accelerator="cpu")
    server.run(port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False)
