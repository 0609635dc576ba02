"""What ``--explain`` prints: versions, the device, and for each operator which backend runs on it and why."""

import torch

from flagdit_kernels.backends import explain
from flagdit_kernels.bench.record import describe_machine, describe_versions
from flagdit_kernels.bench.suites import installed_suites


def explanation(device: torch.device) -> str:
    """Everything that decides what runs here.

    Args:
        device: Where tensors would be; need not exist.

    Returns:
        Lines for people.
    """
    lines = [f"{name} {version}" for name, version in describe_versions().items()]
    present = device.type != "cuda" or (device.index or 0) < torch.cuda.device_count()
    machine = describe_machine(device if present else torch.device("cpu"))
    lines += ["", f"{machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB"]
    if gpu := machine.get("accelerator"):
        memory = f"{gpu['memory_bytes'] / 2**30:.0f} GiB"
        lines.append(f"{gpu['name']}, capability {gpu['capability']}, {gpu['multiprocessors']} processors, {memory}")
    elif not torch.cuda.is_available():
        built = torch.version.cuda or torch.version.hip
        reason = f"torch was built for {built} but sees none" if built else "torch was built without CUDA and ROCm"
        lines.append(f"no GPU: {reason}")
    lines += ["", f"on {device}:"]
    for operator, choice in explain(device=device).items():
        lines.append(f"  {operator}: {choice['backend']} ({choice['reason']})")
    lines += ["", f"suites: {', '.join(installed_suites()) or 'none installed; give --suite module:function'}"]
    return "\n".join(lines)
