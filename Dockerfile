# CPU:   docker build -t faceswap .
# CUDA:  docker build -t faceswap:cuda --build-arg TORCH_INDEX=https://pypi.org/simple .
# Run:   docker run --rm -v "$PWD:/work" -v faceswap-data:/data faceswap video me.jpg clip.mp4
#        (CUDA: add --gpus all; the first run needs --accept-terms)
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY faceswap_cli faceswap_cli
COPY weights weights
COPY docs docs
RUN pip install --no-cache-dir "hatchling>=1.24" \
 && python -m hatchling build --target wheel --directory /dist

FROM python:3.12-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
 && rm -rf /var/lib/apt/lists/*
COPY constraints/py312.txt /tmp/constraints.txt
COPY --from=build /dist /tmp/dist
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' /tmp/constraints.txt)" \
 && pip install --no-cache-dir -c /tmp/constraints.txt /tmp/dist/*.whl \
 && rm -rf /tmp/dist /tmp/constraints.txt
RUN useradd --create-home user && mkdir /data /work && chown user /data /work
USER user
ENV XDG_DATA_HOME=/data
WORKDIR /work
ENTRYPOINT ["faceswap"]
CMD ["--help"]
