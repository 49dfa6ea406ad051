"""Visits a Streamlit app as a browser does, and prints the first text that the page shows.

    streamlit_visit.py PORT
"""

import sys

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

with connect(
    f"ws://127.0.0.1:{sys.argv[1]}/_stcore/stream", subprotocols=["streamlit"], max_size=None
) as page:
    page.send(BackMsg(rerun_script=ClientState()).SerializeToString())
    while True:
        message = ForwardMsg.FromString(page.recv(timeout=60))
        element = message.delta.new_element
        if element.HasField("text"):
            print(element.text.body)
            break
        if element.HasField("exception"):
            sys.exit(f"{element.exception.type}: {element.exception.message}")
