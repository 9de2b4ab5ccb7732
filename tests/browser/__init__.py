"""`make browser`: Chromium uses the page as a family does, on a product whose services are simulated.

Not part of `make test`: it needs a browser and its driver, which no wheel brings (Debian: `chromium chromium-driver`).
"""
