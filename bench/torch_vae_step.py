"""The VAE training step of bench/vae-step.ts in eager PyTorch: CogVideoX's causal 3D VAE as diffusers writes it
(whole-clip tensors [B, C, F, H, W], conv3d, group_norm, interpolate), the same weights, loss and optimizer.

Started as `python3 torch_vae_step.py <folder> <size as JSON>`; answers each line with a number of steps by one
line of JSON with their times. Threads: OMP_NUM_THREADS.
"""
import json
import math
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F


def read_safetensors(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        start = 8 + length
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            file.seek(start + begin)
            data = np.frombuffer(file.read(end - begin), np.float32).reshape(entry["shape"])
            tensors[name] = torch.from_numpy(data.copy())
        return tensors


class Vae:
    def __init__(self, weights, size):
        self.weights = weights
        self.size = size

    def conv3d(self, name, x):
        w, b = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.conv3d(x, w, b)

    def causal(self, name, x):
        w, b = self.weights[f"{name}.conv.weight"], self.weights[f"{name}.conv.bias"]
        if w.shape[2] > 1:
            x = torch.cat([x[:, :, :1]] * (w.shape[2] - 1) + [x], dim=2)
        side = (w.shape[3] - 1) // 2
        return F.conv3d(F.pad(x, (side,) * 4), w, b)

    def norm(self, name, x, z):
        groups = self.size["groups"]
        if z is None:
            return F.group_norm(x, groups, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], 1e-6)
        if x.shape[2] > 1 and x.shape[2] % 2 == 1:
            first = F.interpolate(z[:, :, :1], size=x[:, :, :1].shape[-3:])
            rest = F.interpolate(z[:, :, 1:], size=x[:, :, 1:].shape[-3:])
            z = torch.cat([first, rest], dim=2)
        else:
            z = F.interpolate(z, size=x.shape[-3:])
        gain, shift = self.causal(f"{name}.conv_y", z), self.causal(f"{name}.conv_b", z)
        weight, bias = self.weights[f"{name}.norm_layer.weight"], self.weights[f"{name}.norm_layer.bias"]
        return F.group_norm(x, groups, weight, bias, 1e-6) * gain + shift

    def resnet(self, name, x, z=None):
        h = self.causal(f"{name}.conv1", F.silu(self.norm(f"{name}.norm1", x, z)))
        h = self.causal(f"{name}.conv2", F.silu(self.norm(f"{name}.norm2", h, z)))
        if f"{name}.conv_shortcut.weight" in self.weights:
            x = self.conv3d(f"{name}.conv_shortcut", x)
        return h + x

    def per_frame(self, name, x, **options):
        b, c, f, h, w = x.shape
        x = x.permute(0, 2, 1, 3, 4).reshape(b * f, c, h, w)
        x = F.conv2d(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], **options)
        return x.reshape(b, f, *x.shape[1:]).permute(0, 2, 1, 3, 4)

    def downsample(self, name, x, in_time):
        if in_time:
            b, c, f, h, w = x.shape
            x = x.permute(0, 3, 4, 1, 2).reshape(b * h * w, c, f)
            if f % 2 == 1:
                rest = x[..., 1:]
                rest = F.avg_pool1d(rest, 2, 2) if f > 1 else rest
                x = torch.cat([x[..., :1], rest], dim=-1)
            else:
                x = F.avg_pool1d(x, 2, 2)
            x = x.reshape(b, h, w, c, x.shape[-1]).permute(0, 3, 4, 1, 2)
        return self.per_frame(f"{name}.conv", F.pad(x, (0, 1, 0, 1)), stride=2)

    def upsample(self, name, x, in_time):
        b, c, f, h, w = x.shape
        if in_time and f > 1 and f % 2 == 1:
            first = F.interpolate(x[:, :, 0], scale_factor=2.0)[:, :, None]
            x = torch.cat([first, F.interpolate(x[:, :, 1:], scale_factor=2.0)], dim=2)
        elif in_time and f > 1:
            x = F.interpolate(x, scale_factor=2.0)
        else:
            x = x.permute(0, 2, 1, 3, 4).reshape(b * f, c, h, w)
            x = F.interpolate(x, scale_factor=2.0)
            x = x.reshape(b, f, c, 2 * h, 2 * w).permute(0, 2, 1, 3, 4)
        return self.per_frame(f"{name}.conv", x, padding=1)

    def encode(self, x):
        channels, layers = self.size["channels"], self.size["layersPerBlock"]
        x = self.causal("encoder.conv_in", x)
        for level in range(len(channels)):
            for i in range(layers):
                x = self.resnet(f"encoder.down_blocks.{level}.resnets.{i}", x)
            if level < len(channels) - 1:
                x = self.downsample(f"encoder.down_blocks.{level}.downsamplers.0", x, level < 2)
        for i in range(2):
            x = self.resnet(f"encoder.mid_block.resnets.{i}", x)
        return self.causal("encoder.conv_out", F.silu(self.norm("encoder.norm_out", x, None)))

    def decode(self, z):
        channels, layers = self.size["channels"], self.size["layersPerBlock"]
        x = self.causal("decoder.conv_in", z)
        for i in range(2):
            x = self.resnet(f"decoder.mid_block.resnets.{i}", x, z)
        for level in range(len(channels)):
            for i in range(layers + 1):
                x = self.resnet(f"decoder.up_blocks.{level}.resnets.{i}", x, z)
            if level < len(channels) - 1:
                x = self.upsample(f"decoder.up_blocks.{level}.upsamplers.0", x, level < 2)
        return self.causal("decoder.conv_out", F.silu(self.norm("decoder.norm_out", x, z)))

    def loss(self, video, noise, kl_weight):
        mean, logvar = self.encode(video).chunk(2, dim=1)
        logvar = logvar.clamp(-30, 20)
        reconstruction = self.decode(mean + (0.5 * logvar).exp() * noise)
        divergence = (mean * mean + logvar.exp() - logvar - 1).mean()
        return F.mse_loss(reconstruction, video) + 0.5 * kl_weight * divergence


def main():
    folder, size = sys.argv[1], json.loads(sys.argv[2])
    weights = read_safetensors(f"{folder}/weights.safetensors")
    for tensor in weights.values():
        tensor.requires_grad_(True)
    batch = read_safetensors(f"{folder}/batch.safetensors")
    video, noise = (batch[name].permute(0, 2, 1, 3, 4).contiguous() for name in ("video", "noise"))
    o = size["optimizer"]
    optimizer = torch.optim.AdamW(
        weights.values(), size["learningRate"], betas=o["betas"], eps=o["epsilon"], weight_decay=o["weightDecay"])
    vae = Vae(weights, size)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = vae.loss(video, noise, size["klWeight"])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), o["maxGradientNorm"])
        optimizer.step()
        return loss.item(), norm.item()

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        results = []
        for _ in range(int(line)):
            start = time.perf_counter()
            cpu = time.process_time()
            loss, norm = step()
            results.append({
                "ms": 1e3 * (time.perf_counter() - start),
                "cpuMs": 1e3 * (time.process_time() - cpu),
                "loss": loss,
                "gradientNorm": norm,
            })
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(json.dumps({"runs": results, "peakMb": peak}), flush=True)


if __name__ == "__main__":
    main()
