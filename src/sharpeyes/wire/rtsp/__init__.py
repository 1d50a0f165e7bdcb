"""RTSP 1.0 (RFC 2326): messages, digest authentication and the client's side of a dialogue."""
