"""Examples for every command: shown in the help pages, the manual and the documentation.

The tests parse every line, so an example cannot name an option that does not exist.
"""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "faceswap": (
        ("A video; the result is clip_swapped.mp4", "faceswap video me.jpg clip.mp4"),
        ("A picture; the result is group_swapped.jpg", "faceswap image me.jpg group.jpg"),
        ("Help of one command", "faceswap help video"),
    ),
    "image": (
        ("The result is group_swapped.jpg", "faceswap image me.jpg group.jpg"),
        (
            "The second person from the left, three source photographs",
            "faceswap image a.jpg b.jpg c.jpg group.jpg --face 2",
        ),
        ("With a smile, under a new name", "faceswap image me.jpg group.jpg --edit smile=+0.4 -o out.png"),
    ),
    "video": (
        ("The result is clip_swapped.mp4", "faceswap video me.jpg clip.mp4"),
        (
            "Look at the eight hardest frames before the long run",
            "faceswap video me.jpg clip.mp4 --preview 8",
        ),
        ("Ten seconds, with a report", "faceswap video me.jpg clip.mp4 --start 5 --end 15 --report r.html"),
        ("The second person from the left", "faceswap video me.jpg clip.mp4 --face 2"),
        ("Several people (after 'inspect --cast')", "faceswap video --cast cast.toml clip.mp4"),
        ("A person after 'faceswap enroll anna photos'", "faceswap video @anna clip.mp4"),
        ("For scripts", "faceswap video me.jpg clip.mp4 --json --fail-under verdict"),
    ),
    "batch": (
        ("Every video of a folder", "faceswap batch me.jpg clips -o out"),
        (
            "Two people into two videos, in pairs",
            "faceswap batch --pairs -s anna.jpg -s ben.jpg one.mp4 two.mp4 -o out",
        ),
        ("Jobs from a table", "faceswap batch --manifest jobs.csv"),
    ),
    "edit": (
        ("First keep the job", "faceswap video me.jpg clip.mp4 --keep"),
        (
            "Then change it without a new search for faces",
            "faceswap edit clip_swapped.mp4 --edit smile=+0.4 --smooth 0.7",
        ),
    ),
    "rerun": (
        ("The same result again", "faceswap rerun clip_swapped.mp4"),
        ("The inputs were moved", "faceswap rerun clip_swapped.mp4 -s photos/me.jpg -t archive/clip.mp4"),
    ),
    "enroll": (
        ("Measure a person from a folder of photographs", "faceswap enroll anna photos"),
        ("Add photographs later", "faceswap enroll anna photos more.jpg --force"),
        ("Use the person", "faceswap video @anna clip.mp4"),
    ),
    "inspect": (
        ("What a file holds", "faceswap inspect clip.mp4"),
        ("Only streams and timing", "faceswap inspect clip.mp4 --quick"),
        ("A file to assign a source to each person", "faceswap inspect clip.mp4 --cast cast.toml"),
    ),
    "evaluate": (
        ("All metrics", "faceswap evaluate clip_swapped.mp4 -s me.jpg -t clip.mp4"),
        ("Several people, each by themselves", "faceswap evaluate out.mp4 --cast cast.toml -t clip.mp4"),
        (
            "A test for scripts: exit code 10 if a threshold is missed",
            "faceswap evaluate out.mp4 -s me.jpg -t clip.mp4 --fail-under likeness=0.6",
        ),
    ),
    "doctor": (
        ("Check this machine", "faceswap doctor"),
        ("For scripts", "faceswap doctor --json"),
    ),
    "bench": (
        ("The example clip on this machine", "faceswap bench"),
        (
            "Your own clip on two cores, stored",
            "faceswap bench clip.mp4 -s me.jpg --threads 2 --json > before.json",
        ),
        ("Compare with the stored run", "faceswap bench clip.mp4 -s me.jpg --compare before.json"),
    ),
    "config": (
        ("Every setting and its origin", "faceswap config"),
        ("The settings of another file", "faceswap config --config studio.toml"),
    ),
    "terms": (
        ("Read the terms", "faceswap terms"),
        ("Accept them on this machine", "faceswap terms --accept-terms"),
    ),
    "completion": (
        ("For this bash session", 'eval "$(faceswap completion bash)"'),
        ("For this zsh session", 'eval "$(faceswap completion zsh)"'),
    ),
    "train": (
        ("Train for eight hours; the same command continues", "faceswap train recipe.toml --max-time 8h"),
        ("An edit of your own", "faceswap train --attribute beard with/ without/"),
        ("Use it", "faceswap video me.jpg clip.mp4 --edit beard=+0.7"),
    ),
    "weights": (
        ("What is installed", "faceswap weights list"),
        ("Check every file", "faceswap weights verify"),
    ),
    "weights list": (
        ("What is bundled and installed", "faceswap weights list"),
        ("For scripts", "faceswap weights list --json"),
    ),
    "weights path": (
        ("A bundled file", "faceswap weights path mesh.safetensors"),
        ("An edit of your own", "faceswap weights path attributes/beard"),
    ),
    "weights verify": (
        ("Everything", "faceswap weights verify"),
        ("One file", "faceswap weights verify mesh.safetensors"),
    ),
    "weights import": (
        ("An official checkpoint that you downloaded", "faceswap weights import checkpoint.pt"),
        ("A content classifier", "faceswap weights import rules.onnx --as policy"),
    ),
    "weights pull": (
        ("Names are listed by 'faceswap weights list'", "faceswap weights pull NAME"),
        ("With a noncommercial license", "faceswap weights pull NAME --allow-license noncommercial"),
    ),
    "weights export": (
        ("As safetensors", "faceswap weights export NAME -o weights.safetensors"),
        ("As ONNX graphs", "faceswap weights export NAME -o graphs --onnx"),
    ),
    "weights conform": (
        ("Compare with stored outputs", "faceswap weights conform golden"),
        ("Another set, on two threads", "faceswap weights conform golden --set B --threads 2"),
    ),
}
"""Command -> (what it does, the command line)."""


def epilog(command: str) -> str:
    """The examples as the end of a help page.

    Each is a paragraph of the command and a comment: Typer before 0.20 joins these two lines into one.
    """
    shown = [f"{line}\n  [dim]# {meaning}[/dim]" for meaning, line in EXAMPLES[command]]
    return "\n\n".join(["[bold]Examples[/bold]", *shown])
