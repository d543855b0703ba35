"""What answers requests: weights on this machine, a server, or a Python class of the user's.

In reading order: python.py, endpoint.py; for local weights device.py (device and dtype), local.py (loading, memory),
local_vlm.py (batches).
"""
