"""The engine bench's jobs in eager PyTorch: the same model, adapters, objective and optimizer, for comparison.

Started by bench/engine.ts as `python3 torch_engine.py <job> <folder> <size as JSON>`; answers each line with a
number of runs by one line of JSON with their times, like engine-child.ts. Threads: OMP_NUM_THREADS.
"""
import json
import math
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

GROUPS, BOTTLENECK, WEIGHT_TOTAL, PATCH, CHANNELS = 7, 64, 0.2, 2, 16


def read_safetensors(path, wanted=lambda name: True):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        start = 8 + length
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__" or not wanted(name):
                continue
            begin, end = entry["data_offsets"]
            file.seek(start + begin)
            data = np.fromfile(file, np.float32, (end - begin) // 4).reshape(entry["shape"])
            tensors[name] = torch.from_numpy(data)
        return tensors


def rotary_tables(head_dim, frames, rows, columns):
    """3D rotary embedding, a quarter of each head for time and three eighths for each of rows and columns."""
    def axis(dim, positions):
        frequencies = 1.0 / 10000 ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        return torch.outer(positions.double(), frequencies)
    t = axis(head_dim // 4, torch.arange(frames))[:, None, None].expand(-1, rows, columns, -1)
    y = axis(head_dim // 8 * 3, torch.arange(rows))[None, :, None].expand(frames, -1, columns, -1)
    x = axis(head_dim // 8 * 3, torch.arange(columns))[None, None].expand(frames, rows, -1, -1)
    angles = torch.cat([t, y, x], -1).reshape(frames * rows * columns, -1).repeat_interleave(2, -1)
    return angles.cos().float(), angles.sin().float()


def rotate(x, cos, sin):
    real, imaginary = x.reshape(*x.shape[:-1], -1, 2).unbind(-1)
    turned = torch.stack([-imaginary, real], -1).flatten(3)
    return x * cos + turned * sin


class Adapter(nn.Module):
    def __init__(self, width, condition_dim=None):
        super().__init__()
        self.down_linear = nn.Linear(width, BOTTLENECK)
        self.up_linear = nn.Linear(BOTTLENECK, width)
        if condition_dim:
            self.condition_linear = nn.Linear(condition_dim, width)

    def forward(self, h, condition=None):
        inner = h if condition is None else h + self.condition_linear(condition)
        return h + self.up_linear(F.gelu(self.down_linear(inner)))


class Norm(nn.Module):
    """Expert adaptive layer norm: shift, scale and gate for video and for text tokens."""

    def __init__(self, width, time_dim):
        super().__init__()
        self.linear = nn.Linear(time_dim, 6 * width)
        self.norm = nn.LayerNorm(width, eps=1e-5)

    def forward(self, video, text, time):
        shift, scale, gate, text_shift, text_scale, text_gate = self.linear(F.silu(time)).chunk(6, dim=1)
        video = self.norm(video) * (1 + scale)[:, None] + shift[:, None]
        text = self.norm(text) * (1 + text_scale)[:, None] + text_shift[:, None]
        return video, text, gate[:, None], text_gate[:, None]


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.norm_q = nn.LayerNorm(width // heads, eps=1e-6)
        self.norm_k = nn.LayerNorm(width // heads, eps=1e-6)

    def forward(self, x, text_tokens, rotary):
        batch, tokens, width = x.shape
        split = lambda y: y.view(batch, tokens, self.heads, -1).transpose(1, 2)
        q, k, v = self.norm_q(split(self.to_q(x))), self.norm_k(split(self.to_k(x))), split(self.to_v(x))
        if rotary is not None:
            q = torch.cat([q[:, :, :text_tokens], rotate(q[:, :, text_tokens:], *rotary)], 2)
            k = torch.cat([k[:, :, :text_tokens], rotate(k[:, :, text_tokens:], *rotary)], 2)
        scores = torch.matmul(q, k.transpose(-1, -2)) * (1 / math.sqrt(q.shape[-1]))
        y = torch.matmul(scores.softmax(-1), v)
        return self.to_out[0](y.transpose(1, 2).reshape(batch, tokens, width))


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        first = nn.Module()
        first.proj = nn.Linear(width, 4 * width)
        self.net = nn.ModuleList([first, nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x):
        return self.net[2](F.gelu(self.net[0].proj(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, width, heads, adapted, condition_dim):
        super().__init__()
        self.norm1, self.norm2 = Norm(width, width), Norm(width, width)
        self.attn1, self.ff = Attention(width, heads), FeedForward(width)
        self.adapted = adapted
        if adapted:
            self.id_attn_adapter, self.id_ff_adapter = Adapter(width), Adapter(width)
            self.motion_attn_adapter = Adapter(width, condition_dim)
            self.motion_ff_adapter = Adapter(width, condition_dim)

    def adapters(self, site, output, h, share, condition):
        if not self.adapted:
            return output
        identity = getattr(self, f"id_{site}_adapter")(h)
        motion = getattr(self, f"motion_{site}_adapter")(h, condition)
        return output + share * identity + (WEIGHT_TOTAL - share) * motion

    def forward(self, video, text, time, rotary, share=None, condition=None):
        count = text.shape[1]
        nv, nt, gate, text_gate = self.norm1(video, text, time)
        h = torch.cat([nt, nv], 1)
        y = self.adapters("attn", self.attn1(h, count, rotary), h, share, condition)
        video, text = video + gate * y[:, count:], text + text_gate * y[:, :count]
        nv, nt, gate, text_gate = self.norm2(video, text, time)
        h = torch.cat([nt, nv], 1)
        y = self.adapters("ff", self.ff(h), h, share, condition)
        return video + gate * y[:, count:], text + text_gate * y[:, :count]


class Controller(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.channel_encoder = nn.ModuleList([nn.Linear(width, width)])
        self.timestep_encoder = nn.ModuleList([nn.SiLU(), nn.Linear(width, 3 * width)])
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.fuse_proj, self.fuse_proj_down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.fusion_net = nn.ModuleList([nn.ReLU(), nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, GROUPS)])

    def forward(self, tokens, time):
        channels = self.channel_encoder[0](tokens.amax(1))
        shift, scale, gate = self.timestep_encoder[1](F.silu(time)).chunk(3, dim=1)
        y = self.norm(channels) * (1 + scale) + shift
        y = self.fuse_proj_down(F.gelu(self.fuse_proj(y), approximate="tanh")) + gate * channels
        for layer in self.fusion_net:
            y = layer(y)
        return y.sigmoid() * WEIGHT_TOTAL


class Transformer(nn.Module):
    def __init__(self, size, text_dim, condition_dim):
        super().__init__()
        self.size, width = size, size["width"]
        adapted = condition_dim is not None
        self.time_embedding = nn.Module()
        self.time_embedding.linear_1 = nn.Linear(width, width)
        self.time_embedding.linear_2 = nn.Linear(width, width)
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(CHANNELS, width, PATCH, PATCH)
        self.patch_embed.text_proj = nn.Linear(text_dim, width)
        self.transformer_blocks = nn.ModuleList(
            Block(width, size["heads"], adapted, condition_dim) for _ in range(size["blocks"])
        )
        if adapted:
            self.controller = Controller(width)
        self.norm_final = nn.LayerNorm(width, eps=1e-5)
        self.norm_out = nn.Module()
        self.norm_out.linear = nn.Linear(width, 2 * width)
        self.norm_out.norm = nn.LayerNorm(width, eps=1e-5)
        self.proj_out = nn.Linear(width, CHANNELS * PATCH * PATCH)
        side = size["latentSide"] // PATCH
        self.rotary = None
        if size["positions"] == "rotary":
            self.rotary = rotary_tables(width // size["heads"], size["latentFrames"], side, side)

    def forward(self, latents, text, timestep, condition=None):
        batch, frames, _, height, width = latents.shape
        rows, columns = height // PATCH, width // PATCH
        half = self.size["width"] // 2
        angles = timestep[:, None] * torch.exp(-math.log(10000) * torch.arange(half) / half)
        time = torch.cat([angles.cos(), angles.sin()], 1)
        time = self.time_embedding.linear_2(F.silu(self.time_embedding.linear_1(time)))
        patches = self.patch_embed.proj(latents.flatten(0, 1)).flatten(2).transpose(1, 2)
        video = patches.reshape(batch, frames * rows * columns, -1)
        text = self.patch_embed.text_proj(text)
        shares = None
        if condition is not None:
            shares = self.controller(torch.cat([text, video], 1), time)
        depth = len(self.transformer_blocks)
        for index, block in enumerate(self.transformer_blocks):
            share = None if shares is None else shares[:, index * GROUPS // depth, None, None]
            operands = (video, text, time, self.rotary, share, condition)
            keep = not self.size["checkpointBlocks"]
            video, text = block(*operands) if keep else checkpoint(block, *operands, use_reentrant=False)
        shift, scale = self.norm_out.linear(F.silu(time)).chunk(2, dim=1)
        y = self.norm_out.norm(self.norm_final(video)) * (1 + scale)[:, None] + shift[:, None]
        y = self.proj_out(y).reshape(batch, frames, rows, columns, CHANNELS, PATCH, PATCH)
        return y.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, frames, CHANNELS, height, width)


def main():
    job, folder, size = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    batch = read_safetensors(f"{folder}/batch.safetensors")
    adapted = job == "adapter"
    condition_dim = batch["condition"].shape[-1] if adapted else None
    model = Transformer(size, batch["text"].shape[-1], condition_dim)
    names = set(model.state_dict())
    model.load_state_dict(read_safetensors(f"{folder}/weights.safetensors", names.__contains__))
    if size["positions"] != "rotary":
        sys.exit("the comparison is for rotary positions")
    for name, parameter in model.named_parameters():
        learns = "motion_" in name or name.startswith("controller.")
        parameter.requires_grad_(job == "full" or (adapted and learns))
    arguments = [batch["latents"], batch["text"], batch["timestep"]]
    if adapted:
        arguments.append(batch["condition"])
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if learning:
        optimizer = torch.optim.AdamW(learning, lr=1e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=1e-4, foreach=True)

    def run():
        if job == "infer":
            with torch.inference_mode():
                return model(*arguments).square().mean().item()
        loss = F.mse_loss(model(*arguments), batch["target"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    answer = lambda record: print(json.dumps(record), flush=True)
    answer({"ready": True, "version": torch.__version__, "threads": torch.get_num_threads()})
    for line in sys.stdin:
        times, values = [], []
        for _ in range(int(line)):
            start = time.perf_counter()
            values.append(run())
            times.append((time.perf_counter() - start) * 1000)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        answer({"times": times, "values": values, "peakMb": round(peak)})


main()
