"""The page: one tab to try a photo, one to browse runs."""

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from facialnet.inference.app.photo_answer import PhotoDesk
from facialnet.inference.app.run_browser import list_runs, run_report
from facialnet.inference.app.uploads import MAX_BYTES, UploadLimits

_STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
_WAITING = 16  # requests that may wait; more are turned away
# No letters from elsewhere: the page opens without a network.
_FONT = ("system-ui", "sans-serif")
_MONO = ("ui-monospace", "monospace")
_EMPTY = (
    "<p class='quiet'>Choose a photo, or take one with the webcam: every face in it gets a box, "
    "its probabilities, and what in it speaks for the answer.</p>"
)


def build_page(desks: dict[str, PhotoDesk], runs: Path) -> gr.Blocks:
    """Lay the page out.

    Args:
        desks: name of a checkpoint to what answers with it; the fixed list to choose from.
        runs: the folder whose runs can be browsed.
    """
    page: gr.Blocks = gr.Blocks(title="facialnet", analytics_enabled=False, delete_cache=(60, 120))
    with page:
        gr.Markdown(
            "# facialnet\nGender and age group from a photo. Everything stays on this machine."
        )
        with gr.Tab("Photo"):
            _photo_tab(desks)
        with gr.Tab("Runs"):
            _runs_tab(page, runs)
    return page


def _photo_tab(desks: dict[str, PhotoDesk]) -> None:
    names = list(desks)

    def answer(upload: str | None, chosen: str) -> Iterator[tuple[None, str]]:
        for content in desks[chosen if chosen in desks else names[0]].answer(upload):
            yield None, content

    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            upload = gr.Image(
                label=f"A photo, up to {MAX_BYTES // 1_000_000} MB",
                sources=["upload", "webcam", "clipboard"],
                type="filepath",
                buttons=[],
                elem_id="upload",
            )
            # The file as it is: gradio would decode it, of whatever kind and size. (No subclass,
            # which would be the usual way: gradio writes a file beside a module that has one.)
            upload.preprocess = _path_of  # type: ignore[method-assign,assignment]
            chosen = gr.Dropdown(
                names, value=names[0], label="Network", visible=len(names) > 1, elem_id="network"
            )
            gr.Markdown(
                "Photos are deleted as soon as they are answered. An answer is what a network has "
                "learnt from pictures with labels of others' making: a guess at appearance, not at "
                "who somebody is. The probabilities say how often such guesses are right."
            )
        with gr.Column(scale=5, min_width=320):
            shown = gr.HTML(_EMPTY, elem_id="answer", padding=False)
    upload.input(
        answer,
        [upload, chosen],
        [upload, shown],
        concurrency_limit=1,
        api_visibility="private",
        show_progress="minimal",
    )


def _path_of(payload: gr.FileData | None) -> str | None:
    return None if payload is None else str(payload.path)


def _runs_tab(page: gr.Blocks, runs: Path) -> None:
    def again() -> gr.Dropdown:
        return gr.Dropdown(choices=list_runs(runs), value=None)

    def report(name: str | None) -> str:
        return run_report(runs, name) if name else ""

    with gr.Row(equal_height=True):
        chosen = gr.Dropdown(
            list_runs(runs), value=None, label=f"Runs below {runs.name}/", scale=6, elem_id="run"
        )
        refresh = gr.Button("Look again", scale=1, min_width=120)
    shown = gr.HTML(
        "<p class='quiet'>Choose a run or a sweep: scores, curves, confusions, calibration, "
        "mistakes, feature maps.</p>",
        elem_id="report",
        padding=False,
    )
    chosen.input(report, chosen, shown, api_visibility="private")
    refresh.click(again, None, chosen, api_visibility="private")
    page.load(again, None, chosen, api_visibility="private")


def serve(page: gr.Blocks, uploads: Path, *, port: int | None, open_browser: bool) -> None:
    """Serve the page on this machine alone until it is stopped.

    Args:
        page: as laid out.
        uploads: where gradio puts what is uploaded.
        port: None: the first free one from 7860.
        open_browser: whether to open it.
    """
    page.queue(max_size=_WAITING, default_concurrency_limit=2, api_open=False)
    page.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        inbrowser=open_browser,
        show_error=False,
        quiet=True,
        max_file_size=MAX_BYTES,
        allowed_paths=[],
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Base(font=_FONT, font_mono=_MONO),
        css=_STYLE,
        app_kwargs={
            "middleware": [Middleware(UploadLimits, folder=uploads)],
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
        prevent_thread_lock=True,
    )
    print(f"the page: {page.local_url} (Ctrl-C ends it)", flush=True)
    page.block_thread()
