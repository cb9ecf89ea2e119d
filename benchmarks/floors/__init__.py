"""What the service is held against: how other servers drive a kernel, the least a kernel can cost, and a bare pipe."""
