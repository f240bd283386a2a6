"""Drivers with one fault each: races, copies of records, clocks, options together, and resources.

See `planting`, and planted_faults.py for faults of single methods.
"""

# The faults have the signatures of the driver that they are planted in.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import os
import time
import types
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

from jtc.storage import Layer
from jtc.storage.driver import ReadStream
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    StorageException,
)
from jtc.storage.models import DirectoryInfo, FileInfo
from jtc.storage.options import WriteOptions
from planting import Unreachable, caught_by, planted_in, replaced


async def _read(content):
    if isinstance(content, AsyncIterator):
        return b"".join([chunk async for chunk in content])
    return content if isinstance(content, bytes) else content.read()


# Conditions


@caught_by("test_put_overwrite_false_refuses_file_that_appeared_while_content_was_read")
class LooksBeforeItReadsTheContent(MemoryDriver):
    async def write_file(self, path, content, options, /):
        if not options.overwrite and path in self._files:
            raise FileExistsException("Exists")
        options.overwrite = True
        return await super().write_file(path, content, options)


@caught_by("test_put_if_match_refuses_file_that_changed_while_content_was_read")
class ComparesBeforeItReadsTheContent(MemoryDriver):
    async def write_file(self, path, content, options, /):
        if options.if_match is not None and self._file(path).etag != options.if_match:
            raise PreconditionFailedException("Another version")
        options.if_match = None
        return await super().write_file(path, content, options)


@caught_by("test_put_if_match_of_empty_etag_is_a_condition_that_fails")
class AnEmptyEtagIsNoConditionOfAPut(MemoryDriver):
    async def write_file(self, path, content, options, /):
        options.if_match = options.if_match or None
        return await super().write_file(path, content, options)


@caught_by("test_read_of_empty_etag_names_no_version")
class AnEmptyEtagIsNoConditionOfARead(MemoryDriver):
    async def open_read(self, path, options, /):
        return await super().open_read(path, replace(options, if_match=options.if_match or None))


@caught_by("test_set_metadata_if_match_of_empty_etag_changes_nothing")
class AnEmptyEtagIsNoConditionOfAnUpdate(MemoryDriver):
    async def update_metadata(self, path, options, /):
        options.if_match = options.if_match or None
        return await super().update_metadata(path, options)


@caught_by("test_copy_if_source_match_of_empty_etag_is_a_condition_that_fails")
class AnEmptyEtagIsNoConditionOfACopy(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        options.if_source_match = options.if_source_match or None
        return await super().copy_file(src, dst, options)


@caught_by("test_of_many_copies_to_one_new_target_one_wins")
class ChecksThenCopies(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        if not options.overwrite and dst in self._files:
            raise FileExistsException("Exists")
        options.overwrite = True
        await asyncio.sleep(0)
        return await super().copy_file(src, dst, options)


@caught_by("test_of_many_copies_to_one_new_target_one_wins")
class ChecksThenMoves(MemoryDriver):
    async def move_file(self, src, dst, options, /):
        if not options.overwrite and dst in self._files:
            raise FileExistsException("Exists")
        options.overwrite = True
        await asyncio.sleep(0)
        return await super().move_file(src, dst, options)


@caught_by("test_delete_if_match_keeps_another_version")
class DeletesAnyVersion(MemoryDriver):
    async def delete_file(self, path, _options, /):
        return await self.delete(path)


@caught_by("test_delete_if_match_never_deletes_a_file_put_meanwhile")
class ComparesThenDeletes(MemoryDriver):
    async def delete_file(self, path, options, /):
        if path in self._files and self._file(path).etag != options.if_match:
            raise PreconditionFailedException("Another version")
        await asyncio.sleep(0)
        return await self.delete(path)


@caught_by("test_delete_if_match_of_many_deleters_one_gets_true")
class AnswersForTheVersionThatItSaw(MemoryDriver):
    async def delete_file(self, path, options, /):
        found = path in self._files
        await asyncio.sleep(0)
        await super().delete_file(path, options)
        return found


@caught_by("test_delete_if_match_of_empty_etag_deletes_nothing")
class AnEmptyEtagIsNoConditionOfADeletion(MemoryDriver):
    async def delete_file(self, path, options, /):
        return await super().delete_file(path, replace(options, if_match=options.if_match or None))


@caught_by("test_delete_if_match_returns_false_for_a_missing_file")
class AMissingFileIsAnotherVersion(MemoryDriver):
    async def delete_file(self, path, options, /):
        if path not in self._files:
            raise PreconditionFailedException("Another version")
        return await super().delete_file(path, options)


@caught_by("test_delete_if_match_deletes_no_directory")
class DeletesADirectoryAsAFile(MemoryDriver):
    async def delete_file(self, path, options, /):
        await self.delete_directory(path)
        return await super().delete_file(path, options)


@caught_by("test_delete_file_without_condition_deletes_any_version")
class NeedsACondition(MemoryDriver):
    async def delete_file(self, path, options, /):
        return await super().delete_file(path, replace(options, if_match=options.if_match or ""))


# Listing


class _ListsAll(MemoryDriver):
    """Filters a listing by itself."""

    def after(self, key, start):
        raise NotImplementedError

    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, replace(options, start_after=None)):
            key = f"{entry.path}/" if isinstance(entry, DirectoryInfo) else entry.path
            if options.start_after is None or self.after(key, options.start_after):
                yield entry


@caught_by("test_list_start_after_compares_bytes_not_case_or_unicode_form")
class ResumesByCase(_ListsAll):
    def after(self, key, start):
        return key.casefold() > start.casefold()


@caught_by("test_list_start_after_compares_bytes_not_case_or_unicode_form")
class ResumesByUnicodeForm(_ListsAll):
    def after(self, key, start):
        return unicodedata.normalize("NFC", key) > unicodedata.normalize("NFC", start)


@caught_by("test_list_start_after_file_goes_on_with_directory_of_its_name")
class ResumesByTheNameOfADirectory(_ListsAll):
    def after(self, key, start):
        return key.removesuffix("/") > start.removesuffix("/")


class _Lists(MemoryDriver):
    """Yields what `keys` yields, recursively."""

    def keys(self):
        raise NotImplementedError

    async def list_entries(self, prefix, options, /):
        if options.recursive and not options.directories:
            for key in self.keys():
                if key.startswith(f"{prefix}/" if prefix else ""):
                    yield await self.stat(key)
        else:
            async for entry in super().list_entries(prefix, options):
                yield entry


@caught_by("test_list_goes_on_when_entries_to_come_are_deleted_or_made")
class ListsALiveDict(_Lists):
    def keys(self):
        return iter(self._files)


@caught_by("test_list_goes_on_when_entries_to_come_are_deleted_or_made")
class ListsKeysThatAreGone(_Lists):
    def keys(self):
        return sorted(self._files)


@caught_by("test_a_listing_has_no_limit_of_a_thousand")
class SkipsTheEntryBetweenTwoPages(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        number = 0
        async for entry in super().list_entries(prefix, options):
            number += 1
            if number != 1001:
                yield entry


@caught_by("test_a_listing_has_no_limit_of_a_thousand")
class DeletesAThousandFilesOfADirectory(MemoryDriver):
    async def delete_directory(self, path, /):
        for key in sorted(key for key in self._files if key.startswith(f"{path}/"))[:1000]:
            del self._files[key]


@caught_by("test_list_has_files_and_directories_at_great_depth")
class ListsTenLevels(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, options):
            if not options.recursive or entry.path.count("/") < 10:
                yield entry


@caught_by("test_deleting_a_directory_deletes_everything_below")
class DeletesOneLevel(MemoryDriver):
    async def delete_directory(self, path, /):
        for key in [key for key in self._files if key.rpartition("/")[0] == path]:
            del self._files[key]


@caught_by("test_listed_etags_are_those_of_stat")
class ListsTypesOfItsOwn(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, options):
            if isinstance(entry, FileInfo):
                entry.content_type = "application/x-object"
            yield entry


@caught_by("test_a_directory_exists_where_files_are_below_it")
class ADirectoryExistsByTheBeginningOfItsName(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        found = False
        async for entry in super().list_entries(prefix, options):
            found = True
            yield entry
        alike = [key for key in self._files if prefix and key.startswith(prefix)]
        if alike and not found:
            yield await self.stat(alike[0])


# Reads


@caught_by("test_a_reader_that_takes_all_gets_the_same_bytes")
class ReadsAheadFromTheBeginning(MemoryDriver):
    async def open_read(self, path, options, /):
        if options.read_ahead:
            options = replace(options, start=0)
        return await super().open_read(path, options)


@caught_by("test_a_reader_that_takes_all_never_gets_two_versions")
class ReadsAheadOfWhatIsThere(MemoryDriver):
    async def open_read(self, path, options, /):
        stream = await super().open_read(path, options)
        return ReadStream(stream.info, self._ranges(path)) if options.read_ahead else stream

    async def _ranges(self, path):
        for at in range(0, 3_000_000, 1_000_000):
            yield self._file(path).content[at : at + 1_000_000]


# Tasks, threads and event loops


@caught_by("test_event_loops_in_each_of_which_many_tasks_contend_can_use_it")
class HasALockOfAsyncio(MemoryDriver):
    def __init__(self, **options):
        super().__init__(**options)
        self.lock = asyncio.Lock()

    async def put(self, path, content, /):
        async with self.lock:
            await asyncio.sleep(0)
            return await super().put(path, content)


@caught_by("test_put_whose_source_waits_stops_no_other_call")
class LocksWhileItReadsTheContent(MemoryDriver):
    def __init__(self, **options):
        super().__init__(**options)
        self.locks = {}

    async def write_file(self, path, content, options, /):
        async with self.locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            return await super().write_file(path, content, options)

    async def put(self, path, content, /):
        await self.write_file(path, content, WriteOptions())
        return path


@caught_by("test_put_after_cancelled_put_does_not_wait_for_it")
class ACancelledPutKeepsItsLock(MemoryDriver):
    async def write_file(self, path, content, options, /):
        locks = self.__dict__.setdefault("locks", set())
        while path in locks:
            await asyncio.sleep(0.01)
        locks.add(path)
        etag = await super().write_file(path, content, options)
        locks.remove(path)
        return etag

    async def put(self, path, content, /):
        await self.write_file(path, content, WriteOptions())
        return path


@caught_by("test_a_cancelled_call_is_a_cancelled_error")
class ACancelledLookFindsNothing(MemoryDriver):
    async def exists(self, path, /):
        try:
            await asyncio.sleep(0)
            return await super().exists(path)
        except asyncio.CancelledError:
            return False


@caught_by("test_a_cancelled_call_is_a_cancelled_error")
class ACancelledCopyIsAStorageException(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        try:
            for _ in range(3):
                await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            raise StorageException("Interrupted") from error
        return await super().copy_file(src, dst, options)


@caught_by("test_put_of_file_that_blocks_does_not_block_the_event_loop")
class ReadsFilesInTheEventLoop(MemoryDriver):
    async def put(self, path, content, /):
        return await super().put(path, content.read() if hasattr(content, "read") else content)

    async def write_file(self, path, content, options, /):
        return await super().write_file(path, await _read(content), options)


@caught_by("test_move_leaves_the_file_at_one_of_its_paths_all_the_time")
class AMoveDeletesItsSourceFirst(MemoryDriver):
    async def move_file(self, src, dst, _options, /):
        source = self._file(src)
        await self.delete(src)
        for _ in range(3):
            await asyncio.sleep(0)
        self._files[dst] = source
        return source.etag


@caught_by("test_copy_of_file_that_is_replaced_meanwhile_is_of_one_version")
class ACopyIsMadeInTwoSteps(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        head = self._file(src).content[:100_000]
        await asyncio.sleep(0)
        await super().copy_file(src, dst, options)
        replaced(self, dst, content=head + self._file(src).content[100_000:])


@caught_by("test_set_metadata_never_brings_back_older_content")
class AnUpdateWritesTheContentBack(MemoryDriver):
    async def update_metadata(self, path, options, /):
        content = await self.get(path)
        await asyncio.sleep(0)
        etag = await super().update_metadata(path, options)
        replaced(self, path, content=content)
        return etag


@caught_by("test_aclose_leaves_other_event_loops_able_to_work")
class ACloseOfOneLoopBreaksTheOthers(MemoryDriver):
    """As where one loop closes the clients of all, and only its own is opened again."""

    async def aclose(self):
        loops = self.__dict__.setdefault("loops", {})
        loops.update(dict.fromkeys(loops, False))
        loops.pop(asyncio.get_running_loop(), None)

    async def get(self, path, /):
        loops = self.__dict__.setdefault("loops", {})
        if not loops.setdefault(asyncio.get_running_loop(), True):
            raise RuntimeError("Session is closed")
        return await super().get(path)


@caught_by("test_aclose_beside_a_stream_ends_it_or_leaves_it_whole")
class ACloseEndsStreamsInSilence(MemoryDriver):
    closed = False

    async def aclose(self):
        self.closed = True

    async def open_read(self, path, options, /):
        self.closed = False
        stream = await super().open_read(path, options)

        async def chunks():
            async for chunk in stream:
                yield chunk
                await asyncio.sleep(0)
                if self.closed:
                    return

        return ReadStream(stream.info, chunks())


@caught_by("test_temporary_url_can_be_made_from_any_thread_and_loop")
class PresigningBelongsToALoop(MemoryDriver):
    async def temporary_url(self, path, options, /):
        loop = asyncio.get_running_loop()
        if self.__dict__.setdefault("loop", loop) is not loop:
            raise RuntimeError("attached to a different loop")
        return await super().temporary_url(path, options)


# Records, copies and etags


@caught_by("test_a_write_returns_the_etag_of_what_it_wrote")
class AWriteOfAStreamReturnsAnotherEtag(MemoryDriver):
    async def write_file(self, path, content, options, /):
        etag = await super().write_file(path, content, options)
        return f"{etag}-stream" if isinstance(content, AsyncIterator) else etag


@caught_by("test_copy_file_returns_the_etag_of_its_target")
class ACopyReturnsTheEtagOfItsSource(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        await super().copy_file(src, dst, options)
        return self._file(src).etag


@caught_by("test_copy_metadata_of_no_names_removes_all")
class ACopyKeepsMetadataForNone(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        options.metadata = options.metadata or None
        return await super().copy_file(src, dst, options)


@caught_by("test_copy_keeps_each_declared_field_that_no_option_replaces")
class AnOptionOfACopyReplacesAllThatWasDeclared(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        etag = await super().copy_file(src, dst, options)
        if options.content_type is not None:
            replaced(self, dst, cache_control=options.cache_control)
        return etag


@caught_by("test_last_modified_of_copy_is_when_it_was_made")
class ACopyHasTheTimeOfItsSource(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        etag = await super().copy_file(src, dst, options)
        replaced(self, dst, last_modified=self._file(src).last_modified)
        return etag


@caught_by("test_copy_shares_no_metadata_with_its_source")
class ACopySharesItsMetadata(MemoryDriver):
    async def update_metadata(self, path, options, /):
        kept = self._file(path).metadata
        kept.clear()
        kept.update(options.metadata)
        return self._file(path).etag


@caught_by("test_stat_metadata_is_not_the_stored_mapping")
class StatReturnsTheStoredMapping(MemoryDriver):
    async def stat(self, path, /):
        info = await super().stat(path)
        info.metadata = self._file(path).metadata or {}
        return info


@caught_by("test_stat_returns_a_record_of_its_own")
class StatReturnsOneRecordAlways(MemoryDriver):
    async def stat(self, path, /):
        file = self._file(path)
        known = self.__dict__.setdefault("known", {})
        if file.etag not in known:
            known[file.etag] = await super().stat(path)
        return known[file.etag]


@caught_by("test_list_yields_records_of_its_own")
class ListsItsOwnRecords(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        known = self.__dict__.setdefault("known", {})
        async for entry in super().list_entries(prefix, options):
            yield known.setdefault(entry.path, entry)


@caught_by("test_an_unchanged_file_keeps_its_etag")
class EachLookHasAnEtagOfItsOwn(MemoryDriver):
    async def stat(self, path, /):
        info = await super().stat(path)
        info.etag = str(next(self.__dict__.setdefault("looks", itertools.count())))
        return info


@caught_by("test_etag_of_file_put_again_after_a_delete_is_another")
class CountsTheVersionsOfEachPath(MemoryDriver):
    async def stat(self, path, /):
        info = await super().stat(path)
        versions = self.__dict__.setdefault("versions", {}).setdefault(path, {})
        info.etag = str(versions.setdefault(info.etag, len(versions)))
        return info

    async def delete(self, path, /):
        self.__dict__.setdefault("versions", {}).pop(path, None)
        return await super().delete(path)


@caught_by("test_checksums_of_stat_are_right")
class HasTheChecksumsOfTheFirstVersion(MemoryDriver):
    async def stat(self, path, /):
        import zlib

        info = await super().stat(path)
        known = self.__dict__.setdefault("known", {})
        known.setdefault(path, f"{zlib.crc32(await self.get(path)):08x}")
        info.checksums = {"crc32": known[path]}
        return info


@caught_by("test_size_and_last_modified_are_numbers")
class LastModifiedIsADatetime(MemoryDriver):
    async def last_modified(self, path, /):
        return datetime.fromtimestamp(await super().last_modified(path), UTC)


@caught_by("test_copy_errors_name_the_path_that_they_are_about")
class ARefusedCopyNamesItsSource(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        try:
            return await super().copy_file(src, dst, options)
        except FileExistsException as error:
            error.path = src
            raise


@caught_by("test_file_that_was_missing_exists_once_it_is_made")
class ListsNoStreams(MemoryDriver):
    async def write_file(self, path, content, options, /):
        self.__dict__.setdefault("streams", set()).add(path)
        return await super().write_file(path, content, options)

    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, options):
            if entry.path not in self.__dict__.get("streams", ()):
                yield entry


@caught_by("test_directory_of_any_name_is_listed_and_deleted")
class DeletesNoDirectoriesWhoseNamesBeginWithADigit(MemoryDriver):
    async def delete_directory(self, path, /):
        if not path[0].isdigit():
            await super().delete_directory(path)


# Clocks


@caught_by("test_last_modified_of_stream_and_copy_is_in_seconds_since_1970")
class StreamsHaveNoTime(MemoryDriver):
    async def write_file(self, path, content, options, /):
        etag = await super().write_file(path, content, options)
        replaced(self, path, last_modified=0.0)
        return etag


@caught_by("test_last_modified_is_in_utc_whatever_the_time_zone")
class LastModifiedIsInLocalTime(MemoryDriver):
    async def last_modified(self, path, /):
        moment = time.gmtime(await super().last_modified(path))
        return time.mktime(moment)


@caught_by("test_listed_last_modified_is_in_utc_whatever_the_time_zone")
class ListsLocalTimes(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, options):
            if isinstance(entry, FileInfo):
                entry.last_modified = time.mktime(time.gmtime(entry.last_modified))
            yield entry


@caught_by("test_temporary_url_ends_after_the_seconds_that_were_asked_for")
class UrlsAreValidAThousandTimesAsLong(MemoryDriver):
    async def temporary_url(self, path, options, /):
        return await super().temporary_url(
            path, replace(options, expires_in=options.expires_in * 1000)
        )


@caught_by("test_temporary_upload_url_ends_when_its_record_says")
class UploadsEndLaterThanTheySay(MemoryDriver):
    async def temporary_upload_url(self, path, options, /):
        request = await super().temporary_upload_url(path, options)
        return replace(request, expires_at=request.expires_at / 2)


# Options together


@caught_by("test_put_keeps_all_options_that_are_given_together")
class ForgetsMetadataOfWhatIsNew(MemoryDriver):
    async def write_file(self, path, content, options, /):
        if not options.overwrite:
            options.metadata = None
        return await super().write_file(path, content, options)


@caught_by("test_put_keeps_all_options_that_are_given_together")
class ForgetsMetadataOfReplacedVersions(MemoryDriver):
    async def write_file(self, path, content, options, /):
        if options.if_match is not None:
            options.metadata = None
        return await super().write_file(path, content, options)


@caught_by("test_put_keeps_all_options_that_are_given_together")
class ForgetsHeadersOfEmptyFiles(MemoryDriver):
    async def write_file(self, path, content, options, /):
        content = await _read(content)
        if not content:
            options.cache_control = None
        return await super().write_file(path, content, options)


@caught_by("test_put_keeps_all_options_that_are_given_together")
class ForgetsTheTypeOfLargeFiles(MemoryDriver):
    async def write_file(self, path, content, options, /):
        content = await _read(content)
        if len(content) > 500_000:
            options.content_type = None
        return await super().write_file(path, content, options)


@caught_by("test_content_encoding_is_kept_and_nothing_is_decoded")
class DecodesWhatIsEncoded(MemoryDriver):
    async def get(self, path, /):
        content = await super().get(path)
        return gzip.decompress(content) if self._file(path).content_encoding else content


@caught_by("test_content_encoding_is_kept_where_other_fields_change")
class AnUpdateForgetsTheEncoding(MemoryDriver):
    async def update_metadata(self, path, options, /):
        etag = await super().update_metadata(path, options)
        replaced(self, path, content_encoding=options.content_encoding)
        return etag


@caught_by("test_copy_keeps_each_declared_field_that_no_option_replaces")
class ACopyForgetsTheEncoding(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        etag = await super().copy_file(src, dst, options)
        replaced(self, dst, content_encoding=options.content_encoding)
        return etag


# Contents, streams and resources


@caught_by("test_put_reads_content_once")
class ReadsFilesTwice(MemoryDriver):
    async def put(self, path, content, /):
        if hasattr(content, "seek"):
            await asyncio.to_thread(content.read)
            content.seek(0)
        return await super().put(path, content)


@caught_by("test_put_of_iterable_that_reuses_its_buffer_is_stored")
class CollectsTheBuffersOfIterables(MemoryDriver):
    async def put(self, path, content, /):
        if isinstance(content, types.GeneratorType):
            content = b"".join(list(content))
        return await super().put(path, content)


@caught_by("test_chunks_are_bytes")
class ChunksAreViews(MemoryDriver):
    async def open_read(self, path, options, /):
        stream = await super().open_read(path, options)

        async def chunks():
            async for chunk in stream:
                yield memoryview(chunk)

        return ReadStream(stream.info, chunks())


@caught_by("test_stream_ends_at_the_end_of_the_file_whatever_the_chunk_size")
class AChunkIsAMegabyteAtMostAndTheRestIsLost(MemoryDriver):
    async def open_read(self, path, options, /):
        stream = await super().open_read(path, options)

        async def chunks():
            async for chunk in stream:
                yield chunk[:1_048_576]

        return ReadStream(stream.info, chunks())


@caught_by("test_streams_left_early_leave_nothing_open")
class LeavesStreamsOpen(MemoryDriver):
    async def open_read(self, path, options, /):
        self.__dict__.setdefault("open", []).append(os.open(os.devnull, os.O_RDONLY))
        return await super().open_read(path, options)

    def __del__(self):
        for descriptor in self.__dict__.get("open", []):
            os.close(descriptor)


@caught_by("test_a_stream_that_is_never_read_can_be_closed_twice")
class ClosingAStreamNeedsItRead(MemoryDriver):
    async def open_read(self, path, options, /):
        stream = await super().open_read(path, options)
        read = []

        async def chunks():
            async for chunk in stream:
                read.append(chunk)
                yield chunk

        async def close():
            if not read:
                raise StorageException("Not open")

        return ReadStream(stream.info, chunks(), close)


# What was read before


@caught_by("test_file_that_was_missing_exists_once_it_is_made")
class RemembersWhatIsMissing(MemoryDriver):
    async def exists(self, path, /):
        missing = self.__dict__.setdefault("missing", set())
        if not await super().exists(path):
            missing.add(path)
        return path not in missing

    async def put(self, path, content, /):
        self.__dict__.setdefault("missing", set()).discard(path)
        return await super().put(path, content)


class _Cache(Layer):
    """Keeps what was read, until it is put or deleted."""

    def __init__(self, inner):
        super().__init__(inner)
        self.cache = {}

    async def get(self, path, /):
        if path not in self.cache:
            self.cache[path] = await self.inner.get(path)
        return self.cache[path]

    async def put(self, path, content, /):
        self.cache.pop(path, None)
        return await self.inner.put(path, content)

    async def write_file(self, path, content, options, /):
        etag = await self.inner.write_file(path, content, options)
        self.cache.pop(path, None)
        return etag

    async def delete(self, path, /):
        found = await self.inner.delete(path)
        self.cache.pop(path, None)
        return found


class _Slow(MemoryDriver):
    async def get(self, path, /):
        content = await super().get(path)
        for _ in range(3):
            await asyncio.sleep(0)
        return content


@caught_by("test_get_after_put_is_not_the_content_of_a_get_that_began_before")
def ACacheThatAGetUnderWayFillsAgain(**options):  # noqa: N802 - the name of a suite
    return _Cache(_Slow(**options))


@caught_by("test_no_read_is_older_than_the_last_change")
def ACacheThatForgetsCopies(**options):  # noqa: N802
    return _Cache(MemoryDriver(**options))


# Failing backends


class _Wrapped(Layer):
    async def delete(self, path, /):
        try:
            return await self.inner.delete(path)
        except (OSError, StorageException):
            return False


@caught_by("test_a_failing_backend_is_never_a_missing_file", when_failing=True)
def ALayerTakesAFailedDeleteForAMissingFile():  # noqa: N802
    return _Wrapped(Unreachable())


@caught_by("test_a_failing_backend_is_never_a_missing_file", when_failing=True)
class CopiesNothingWhereItCannot(Unreachable):
    async def copy_file(self, _src, _dst, _options, /):
        return None

    async def move_file(self, _src, _dst, _options, /):
        return None


@caught_by("test_a_failing_backend_is_never_a_missing_file", when_failing=True)
class DeletesNoDirectoryWhereItCannot(Unreachable):
    async def delete_directory(self, path, /):
        with contextlib.suppress(ConnectionError, StorageException):
            await super().delete_directory(path)


@caught_by("test_check_of_driver_fails_where_its_backend_fails", when_failing=True)
class AlwaysPassesItsCheck(Unreachable):
    async def check(self, path, /):
        pass


@caught_by("test_error_message_is_a_sentence")
class SaysNothing(MemoryDriver):
    async def get(self, path, /):
        try:
            return await super().get(path)
        except FileNotFoundException:
            raise FileNotFoundException("ENOENT") from None


@caught_by("test_a_directory_is_not_deleted")
class DeletesDirectoriesAmongFiles(MemoryDriver):
    async def delete_many(self, paths, /):
        for path in paths:
            await self.delete_directory(path)
        return await super().delete_many(paths)


@caught_by("test_a_missing_file_cannot_be_got")
class AMissingFileIsAKeyError(MemoryDriver):
    async def get(self, path, /):
        try:
            return await super().get(path)
        except FileNotFoundException:
            raise KeyError(path) from None


# Copies by the store of two drivers


@caught_by("test_copy_from_stores_the_content")
class StoreCopiesTheBeginning(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        await super().copy_from(dst, source, options)
        file = self._files[dst]
        self._files[dst] = file._replace(content=file.content[:1000])
        return file.etag


@caught_by("test_copy_from_stores_the_content")
class StoreMoves(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        etag = await super().copy_from(dst, source, options)
        await source.driver.delete(source.path)
        return etag


@caught_by("test_copy_from_stores_the_content")
class StoreCopyReturnsTheSourcesEtag(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        await super().copy_from(dst, source, options)
        return (await source.driver.stat(source.path)).etag


@caught_by("test_copy_from_replaces_the_target")
class StoreCopyKeepsTheTarget(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        if await self.exists(dst):
            return None
        return await super().copy_from(dst, source, options)


@caught_by("test_copy_from_keeps_metadata")
class StoreCopyForgetsMetadata(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        return await super().copy_from(dst, source, replace(options, metadata={}))


@caught_by("test_copy_from_replaces_metadata")
class StoreCopyIgnoresNewMetadata(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        return await super().copy_from(dst, source, replace(options, metadata=None))


@caught_by("test_copy_from_requires_its_source")
class StoreCopiesAMissingFile(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        if not await source.driver.exists(source.path):
            return await self.write_file(dst, b"", options)
        return await super().copy_from(dst, source, options)


@caught_by("test_copy_from_refuses_an_existing_target")
class StoreCopyIgnoresOverwrite(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        return await super().copy_from(dst, source, replace(options, overwrite=True))


@caught_by("test_copy_from_of_several_at_once_has_one_target")
class StoreCopyLooksBeforeItCopies(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        if not options.overwrite and await self.exists(dst):
            raise FileExistsException("The file exists already")
        for _ in range(10):
            await asyncio.sleep(0)
        return await super().copy_from(dst, source, replace(options, overwrite=True))


@caught_by("test_copy_from_copies_the_version_that_is_named")
class StoreCopyIgnoresTheVersion(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        return await super().copy_from(dst, source, replace(options, if_source_match=None))


@caught_by("test_copy_from_refuses_another_store")
class StoreCopyReadsAnyDriver(MemoryDriver):
    async def copy_from(self, dst, source, options, /):
        return await self.write_file(dst, await source.driver.get(source.path), options)


@caught_by("test_copy_source_needs_no_file")
class CopySourceLooks(MemoryDriver):
    def copy_source(self, path, /):
        self._file(path)
        return super().copy_source(path)


@caught_by("test_copy_to_a_view_of_the_disk_has_its_path")
class CopySourceIsAtTheRoot(MemoryDriver):
    def copy_source(self, path, /):
        return super().copy_source(path.rpartition("/")[2])


globals().update(planted_in(__name__))
