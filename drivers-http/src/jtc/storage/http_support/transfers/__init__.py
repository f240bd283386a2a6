"""Transfers over several connections: reads of one version of a file.

A driver requests a file or the beginning of a range by itself, under the conditions of its caller.
With what the answer says it makes a `Version`, whose `request` asks for other bytes of the same
version, and gives both to `file_reader`. What it returns yields the bytes in chunks: a connection
that breaks is replaced, ranges are read ahead over other connections where that pays and memory is
free, and a whole file is held to its checksum:

.. code-block:: python

    async def open_read(self, path: str, options: ReadOptions) -> ReadStream:
        answer = await self._client.send(self._get(path, 0, None))
        info = self._file_info(path, answer)

        def request(start: int, end: int) -> Request[FileAnswer]:
            return self._get(path, start, end, {"if-match": info.etag})

        reader = await file_reader(Version(self._client, info, request), answer, options)
        return ReadStream(info, reader, reader.aclose)

    def _get(
        self, path: str, start: int, end: int | None, headers: Mapping[str, str] = {}
    ) -> Request[FileAnswer]:
        wanted = {**headers, **range_header(start, end)}
        return Request("Get", "GET", f"/{path}", FileAnswer.of, wanted, leave_open_from=-1)
"""
