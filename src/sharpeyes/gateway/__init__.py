"""The gateway: cameras' pictures to those who may see them, and to nobody else.

The story of one view, in the order in which it happens:

1. ``gateway.Gateway.whep`` takes a ticket and an SDP offer. ``leases`` admits: ticket, ``decide``, a seat.
2. ``upstream`` pulls the camera, if it is not pulled already, and says what it sends; ``preflight`` says
   whether this browser can show that as it is. If it cannot, or if something must be burned in (``overlay``:
   privacy masks, a watermark), ``recode`` has a process of its own (``burn``) make another stream of it.
3. ``peer`` answers the offer; ``leases.begin`` returns once the beginning is durable in the register.
4. DTLS stands: the viewer joins the ``hub``, which sends each picture (``picture``: packetised once) by the
   best ``sender`` that the self-test found, from the last key picture on.
5. Whatever ends the right (time, revocation, a disabled user, a blind watch) takes the viewer out of the hub
   first; only then is the connection closed, and the end written down.

``fmp4`` (media sources over a WebSocket), ``hls`` and ``snapshot`` go the same way with other forms of
picture.
"""
