#!/usr/bin/env bash
# On a bare machine with an NVIDIA GPU: unpacks what scripts/pack-gpu.mjs packed, finds the GPU through Vulkan,
# and runs a dualreal command there (docs/gpu.md).
#   bash scripts/gpu-run.sh load carry/1      takes a folder in; repeat for each, in any order
#   bash scripts/gpu-run.sh check [fast]      what is there, whether WebGPU computes, and how fast
#   bash scripts/gpu-run.sh slice FILE OUT    a large file as slices of 15 MiB
#   bash scripts/gpu-run.sh pretrain …        any dualreal command
set -euo pipefail
home="${DUALREAL_GPU_HOME:-/tmp/dualreal-gpu}"
mkdir -p "$home/slices" "$home/cache"

decompress() {
  if command -v xz >/dev/null; then xz -dc; else python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.stdin.buffer), sys.stdout.buffer)'; fi
}

unpack() { # name target
  if [ -e "$home/$1.done" ] || ! ls "$home/slices/$1.tar.xz."* >/dev/null 2>&1; then return 0; fi
  mkdir -p "$2"
  if cat "$home/slices/$1.tar.xz."* | decompress 2>/dev/null | tar -xf - -C "$2" 2>/dev/null; then
    touch "$home/$1.done"
    echo "unpacked $1"
  else
    echo "$1: not complete yet"
  fi
}

if [ "${1:-}" = slice ]; then
  mkdir -p "$3"
  split -b 15M -d -a 2 "$2" "$3/$(basename "$2")."
  ls -l "$3"
  exit 0
fi

if [ "${1:-}" = load ]; then
  cp "$2"/* "$home/slices/"
  unpack node "$home"
  unpack engine "$home"
  unpack app "$home"
  unpack vulkan "$home/vulkan"
  unpack atlas "$home/cache"
  exit 0
fi

# The loader of the system first, ours behind it.
nvidia_folders="/usr/local/nvidia/lib64:/usr/lib/x86_64-linux-gnu:/usr/lib64"
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$nvidia_folders:$home/vulkan"

find_library() {
  local folder
  (IFS=:; for folder in $LD_LIBRARY_PATH; do [ -e "$folder/$1" ] && echo "$folder/$1" && exit 0; done; exit 1) && return 0
  ldconfig -p 2>/dev/null | awk -v name="$1" '$1 == name { print $NF; found = 1; exit } END { exit !found }'
}

find_driver() {
  local file library
  for file in "${VK_DRIVER_FILES:-}" /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json \
    /etc/vulkan/icd.d/nvidia_icd.json /usr/share/vulkan/icd.d/nvidia_icd.json; do
    [ -n "$file" ] && [ -e "$file" ] && echo "$file" && return 0
  done
  # The driver may be there without the file that names it.
  for library in libGLX_nvidia.so.0 libEGL_nvidia.so.0; do
    if library="$(find_library "$library")"; then
      printf '{"file_format_version": "1.0.1", "ICD": {"library_path": "%s", "api_version": "1.3.0"}}\n' \
        "$library" >"$home/nvidia_icd.json"
      echo "$home/nvidia_icd.json"
      return 0
    fi
  done
  return 1
}

if driver="$(find_driver)"; then
  export VK_DRIVER_FILES="$driver" VK_ICD_FILENAMES="$driver"
else
  echo "no Vulkan driver: neither an nvidia_icd.json nor libGLX_nvidia.so.0 or libEGL_nvidia.so.0 is on this" >&2
  echo "machine, so --device webgpu cannot work here; the container needs the driver's graphics capability" >&2
  echo "(NVIDIA_DRIVER_CAPABILITIES=all or graphics,compute,utility). --device cpu does work." >&2
fi
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}" DUALREAL_CACHE="$home/cache"
# Pretraining looks for the art in the checkout, as everywhere else.
if [ -d "$home/cache/toybox-atlas" ] && [ ! -e .cache/toybox-atlas ]; then
  mkdir -p .cache
  ln -s "$home/cache/toybox-atlas" .cache/toybox-atlas
fi

if [ "${1:-}" = check ]; then
  nvidia-smi -L 2>/dev/null || echo "nvidia-smi: no GPU, or no such program"
  echo "Vulkan driver: ${driver:-none}"
  echo "Vulkan loader: $(find_library libvulkan.so.1 || echo none)"
  for library in libGLX_nvidia.so.0 libEGL_nvidia.so.0; do
    path="$(find_library "$library" || true)"
    [ -n "$path" ] && ldd "$path" | grep 'not found' | sed "s|^|$library needs|" || true
  done
  ls "$home"
  "$home/node" "$(dirname "$0")/gpu-probe.mjs" "$home" "${2:-full}" || true
  exit 0
fi
exec "$home/node" "$home/dualreal.mjs" "$@"
