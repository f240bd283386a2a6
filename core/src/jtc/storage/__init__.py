"""One async API for files, whatever holds them."""

# Editable installs put each distribution on a path of its own: without this line the drivers'
# packages below jtc.storage would not be found in a checkout.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
