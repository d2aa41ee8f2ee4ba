"""What is installed elsewhere, built and run as far as one machine lets it: image, chart, service.

Only `make test-full` runs it: it makes a Debian, an image, Helm and Compose, which takes minutes.
"""
