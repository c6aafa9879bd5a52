"""OCPP 2.1 over WebSocket: our own thin codec, the listener for stations, and the execution port on top."""
