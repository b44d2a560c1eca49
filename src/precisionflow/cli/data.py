"""Commands for the user's raw data: what a file holds, files on a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from precisionflow.cli.options import Images, app, form_of
from precisionflow.cli.remote import Context, Namespace
from precisionflow.cluster.access.connection import Access

FileForm = Annotated[list[str] | None, form_of("FILE")]


@app.command()
def describe(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table or a text.")],
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="COLUMN", help="Column to predict [default: the last that fits]."),
    ] = None,
    form: FileForm = None,
) -> None:
    """A file's columns, what is wrong with them, and the `task:` block that reads it."""
    from precisionflow.app.describe import described

    typer.echo(described(file, target=target, form=form or ()))


data = typer.Typer(
    help="Raw data: fetched here, brought into the workspace of a cluster.", rich_markup_mode=None
)
app.add_typer(data, name="data")

Workspace = Annotated[
    str | None,
    typer.Option("--workspace", help="PersistentVolumeClaim [default: that of cluster.workspace]."),
]


@data.command()
def put(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files, or folders of files.")],
    name: Annotated[
        str | None,
        typer.Option("--as", help="Name there [default: as below PRECISIONFLOW_DATA, else the last part]."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace other files of the same names.")
    ] = False,
    workspace: Workspace = None,
    images: Images = None,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Bring files into the workspace, where runs read them."""
    from precisionflow.app.data import put_files

    access = Access(context, namespace)
    put_files(files, name=name, overwrite=overwrite, claim=workspace, access=access, images=images)


@data.command()
def rm(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="As `data list` shows them, or folders.")
    ],
    workspace: Workspace = None,
    images: Images = None,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Remove files from the workspace; all of them, or none where one is not there."""
    from precisionflow.app.data import remove_files

    remove_files(names, claim=workspace, access=Access(context, namespace), images=images)


@data.command()
def get(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Without it: the names that there are.")
    ] = None,
) -> None:
    """Fetch a published data set and tell its licence.

    It comes into the folder that PRECISIONFLOW_DATA names, when it is whole and its checksum the published one.
    """
    from precisionflow.app.download import get_data

    get_data(name)


@data.command(name="list")
def listed(
    digests: Annotated[
        bool, typer.Option("--digests", help="With the sha256 of each file, by which runs know it.")
    ] = False,
    workspace: Workspace = None,
    images: Images = None,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """What the workspace holds, and the room that is left."""
    from precisionflow.app.data import list_files

    list_files(digests=digests, claim=workspace, access=Access(context, namespace), images=images)
