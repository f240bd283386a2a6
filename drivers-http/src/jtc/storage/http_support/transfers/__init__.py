"""Transfers over several connections: reads of one version of a file, and uploads in parts.

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

An upload is cut into parts that each take memory before they are read, and as many are sent at once
as the path carries. A driver gives what sends one of them:

.. code-block:: python

    async def send_content(self, content: DriverContent, upload_id: str, size: int) -> None:
        client = self._client

        async def part(number: int, body: bytes) -> None:
            await client.send(self._put_part(upload_id, number, body))

        most = client.settings.memory_for_uploads
        parts = ContentParts(content, await client.memory(), most)
        try:
            await send_all(client, parts, size, part, most_parts=10_000)
        finally:
            parts.close()
"""
