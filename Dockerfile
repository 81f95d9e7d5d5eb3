# The service with its built-in model, on a CPU. It needs keys, in a volume:
#   docker build -t visavis .
#   docker run --rm -v visavis-keys:/keys visavis visavis keys create app --scope verify --file /keys/keys.json
#   docker run --rm -v visavis-keys:/keys -e VISAVIS_KEYS=/keys/keys.json -p 8000:8000 visavis
# or none, for this machine alone: docker run --rm -e VISAVIS_INSECURE=true -p 127.0.0.1:8000:8000 visavis

FROM python:3.11-slim AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ONLY_BINARY=:all:
WORKDIR /build

# What visavis stands on, before visavis itself: this layer stays when only our code changes. pip checks the hash of
# each file. Without pillow-heif in requirements-service.txt (`make lock` writes it), HEIC is refused, and the image
# contains no code under the GPL (docs/architecture.md).
COPY requirements-service.txt ./
RUN python -m venv /opt/visavis
RUN /opt/visavis/bin/pip install --no-cache-dir --require-hashes -r requirements-service.txt

# hatchling builds the wheel from an environment of its own, which does not go into the image.
COPY constraints.txt pyproject.toml ./
RUN python -m venv hatch && hatch/bin/pip install --no-cache-dir -c constraints.txt hatchling
COPY LICENSE README.md ./
COPY embedder embedder
COPY gallery gallery
COPY service service
COPY train train
COPY visavis visavis
RUN hatch/bin/hatchling build -t wheel && /opt/visavis/bin/pip install --no-deps dist/*.whl && /opt/visavis/bin/pip check

FROM python:3.11-slim
COPY --from=builder /opt/visavis /opt/visavis
ENV PATH=/opt/visavis/bin:$PATH
# New volumes take their owner from here.
RUN install -d -m 700 -o 65534 -g 65534 /keys /audit
# nobody and nogroup, by number, so that Kubernetes can see that it is not root.
USER 65534:65534
EXPOSE 8000
# With VISAVIS_TLS_CERTIFICATE the service speaks HTTPS; its certificate is for its name, not for 127.0.0.1.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "\
import ssl, urllib.request as http\n\
try: http.urlopen('http://127.0.0.1:8000/readyz', timeout=4)\n\
except Exception: http.urlopen('https://127.0.0.1:8000/readyz', timeout=4, context=ssl._create_unverified_context())"]
CMD ["visavis", "serve", "--host", "0.0.0.0", "--port", "8000"]
