"""Drivers with one fault each, under the conformance tests. Run by test_planted_faults_are_caught.

Faults of single methods. See `planting`.
"""

# The faults have the signatures of the driver that they are planted in.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

import asyncio
import itertools
import time
import types
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import replace

from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.content import driver_content
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    NotModifiedException,
    PreconditionFailedException,
    RejectedException,
    StorageException,
)
from jtc.storage.models import DirectoryInfo, FileInfo, Visibility
from jtc.storage.options import WriteOptions
from jtc.storage.paths import check_not_below
from planting import Unreachable, caught_by, planted_in, replaced

# Whole files


@caught_by("test_put_returns_the_path")
class PutReturnsAnotherPath(MemoryDriver):
    async def put(self, path, content, /):
        return "/" + await super().put(path, content)

    async def write_file(self, path, content, options, /):
        return await super().write_file(path, content, options)


@caught_by("test_delete_returns_false_for_a_missing_file")
class DeleteAlwaysReturnsTrue(MemoryDriver):
    async def delete(self, path, /):
        await super().delete(path)
        return True


@caught_by("test_the_second_delete_returns_false")
class DeleteAnswersForWhatWasThereOnce(MemoryDriver):
    async def delete(self, path, /):
        deleted = self.__dict__.setdefault("deleted", set())
        found = await super().delete(path)
        answer = found or path in deleted
        deleted.add(path)
        return answer


@caught_by("test_a_failing_backend_is_never_a_missing_file", when_failing=True)
class ExistsSwallowsErrors(Unreachable):
    async def exists(self, path, /):
        try:
            return await super().exists(path)
        except StorageException:
            return False


@caught_by("test_a_failing_backend_is_never_a_missing_file", when_failing=True)
class MoveDirectoryTakesEveryErrorForAMissingDirectory(Unreachable):
    async def move_directory(self, src, dst, /):
        try:
            await super().move_directory(src, dst)
        except StorageException as error:
            raise FileNotFoundException("There is no such directory") from error


@caught_by("test_a_failing_backend_is_never_a_missing_file", when_failing=True)
class StoreCopyTakesEveryErrorForAMissingFile(Unreachable):
    async def copy_from(self, dst, source, options, /):
        try:
            return await super().copy_from(dst, source, options)
        except StorageException as error:
            raise FileNotFoundException("File not found") from error


@caught_by("test_a_failing_backend_is_never_a_missing_file", when_failing=True)
class GetTakesEveryErrorForAMissingFile(Unreachable):
    async def get(self, path, /):
        try:
            return await super().get(path)
        except StorageException as error:
            raise FileNotFoundException("File not found") from error


@caught_by("test_a_get_after_a_put_sees_no_older_content")
class GetRemembers(MemoryDriver):
    async def get(self, path, /):
        cache = self.__dict__.setdefault("cache", {})
        if path not in cache:
            cache[path] = await super().get(path)
        return cache[path]


@caught_by("test_an_empty_file_exists")
class AnEmptyFileIsMissing(MemoryDriver):
    async def exists(self, path, /):
        return await super().exists(path) and await self.size(path) > 0


@caught_by("test_names_differ_by_their_unicode_form")
class NormalisesNames(MemoryDriver):
    async def put(self, path, content, /):
        return await super().put(unicodedata.normalize("NFC", path), content)

    async def get(self, path, /):
        return await super().get(unicodedata.normalize("NFC", path))


@caught_by("test_names_differ_by_case")
class IgnoresCase(MemoryDriver):
    async def put(self, path, content, /):
        await super().put(path.lower(), content)
        return path

    async def get(self, path, /):
        return await super().get(path.lower())


@caught_by("test_a_directory_does_not_exist_as_a_file")
class ADirectoryExistsAsAFile(MemoryDriver):
    async def exists(self, path, /):
        below = f"{path}/"
        return await super().exists(path) or any(key.startswith(below) for key in self._files)


# Metadata of one file


@caught_by("test_stat_of_directory_fails")
class StatReturnsADirectory(MemoryDriver):
    async def stat(self, path, /):
        for key in list(self._files):
            if key.startswith(f"{path}/"):
                info = await super().stat(key)
                info.path = path
                return info
        return await super().stat(path)


@caught_by("test_the_size_is_in_bytes")
class SizeIsInCharacters(MemoryDriver):
    async def size(self, path, /):
        return len((await self.get(path)).decode(errors="replace"))


@caught_by("test_last_modified_is_in_seconds_since_1970")
class LastModifiedIsInMilliseconds(MemoryDriver):
    async def last_modified(self, path, /):
        return await super().last_modified(path) * 1000


@caught_by("test_another_content_of_the_same_size_has_another_etag")
class TheEtagIsTheSize(MemoryDriver):
    async def stat(self, path, /):
        info = await super().stat(path)
        info.etag = str(info.size)
        return info


@caught_by("test_checksums_of_stat_are_right")
class ReturnsTheEtagAsAChecksum(MemoryDriver):
    async def stat(self, path, /):
        info = await super().stat(path)
        info.checksums = {"md5": str(info.etag)}
        return info


# Streams and ranges


@caught_by("test_a_range_has_its_bytes")
class TheEndOfARangeIsIncluded(MemoryDriver):
    async def open_read(self, path, options, /):
        end = None if options.end is None else options.end + 1
        return await super().open_read(path, replace(options, end=end))


@caught_by("test_a_stream_of_a_range_has_its_bytes")
class ANegativeStartIsTheBeginning(MemoryDriver):
    async def open_read(self, path, options, /):
        return await super().open_read(path, replace(options, start=max(0, options.start)))


@caught_by("test_a_stream_of_a_range_has_the_size_of_the_whole")
class AStreamHasTheSizeOfItsRange(MemoryDriver):
    async def open_read(self, path, options, /):
        stream = await super().open_read(path, options)
        stream.info.size = (options.end or stream.info.size) - options.start
        return stream


@caught_by("test_a_streams_metadata_is_that_of_its_bytes")
class AStreamHasTheMetadataOfAnotherVersion(MemoryDriver):
    async def open_read(self, path, options, /):
        stream = await super().open_read(path, options)
        stream.info = self.__dict__.setdefault("infos", {}).setdefault(path, stream.info)
        return stream


@caught_by("test_a_missing_file_fails_when_the_stream_is_opened")
class AStreamFailsAtItsFirstChunk(MemoryDriver):
    async def open_read(self, path, options, /):
        try:
            return await super().open_read(path, options)
        except FileNotFoundException as error:
            await self.put("nothing", b"")
            info = await self.stat("nothing")
            raised = error

            async def fail():
                raise raised
                yield b""

            return ReadStream(info, fail())


@caught_by("test_an_open_stream_never_mixes_two_versions")
class AStreamReadsWhatIsThereNow(MemoryDriver):
    async def open_read(self, path, options, /):
        stream = await super().open_read(path, options)

        async def chunks():
            at = max(0, options.start)
            while piece := (await self.get(path))[at : at + options.chunk_size]:
                yield piece
                at += options.chunk_size

        return ReadStream(stream.info, chunks())


@caught_by("test_a_stream_does_not_open_for_an_older_etag")
class AStreamIgnoresIfMatch(MemoryDriver):
    async def open_read(self, path, options, /):
        return await super().open_read(path, replace(options, if_match=None))


@caught_by("test_no_chunk_is_empty_or_longer_than_asked_for")
class AStreamIsOneChunk(MemoryDriver):
    async def open_read(self, path, options, /):
        return await super().open_read(path, replace(options, chunk_size=2**30))


# Conditional reads


@caught_by("test_read_if_match_of_the_version_there_reads")
class IfMatchForgetsTheRange(MemoryDriver):
    async def open_read(self, path, options, /):
        if options.if_match is not None:
            options = replace(options, start=0, end=None)
        return await super().open_read(path, options)


@caught_by("test_read_if_match_of_an_older_version_fails")
class ARangeIgnoresIfMatch(MemoryDriver):
    async def open_read(self, path, options, /):
        if options.start:
            options = replace(options, if_match=None)
        return await super().open_read(path, options)


@caught_by("test_read_if_none_match_of_the_version_there_is_not_modified")
class ARangeThatIsNotModifiedIsAFailedPrecondition(MemoryDriver):
    async def open_read(self, path, options, /):
        try:
            return await super().open_read(path, options)
        except NotModifiedException as error:
            if options.start:
                raise PreconditionFailedException("Not modified") from error
            raise


@caught_by("test_read_if_none_match_of_an_older_version_reads_the_newer")
class NothingIsEverModified(MemoryDriver):
    async def open_read(self, path, options, /):
        stream = await super().open_read(path, options)
        if options.if_none_match is not None:
            raise NotModifiedException("Not modified")
        return stream


@caught_by("test_conditional_read_of_missing_file_is_not_found")
class AMissingFileIsAnotherVersion(MemoryDriver):
    async def open_read(self, path, options, /):
        if options.if_match is not None and path not in self._files:
            raise PreconditionFailedException("Another version")
        return await super().open_read(path, options)


@caught_by("test_open_read_if_none_match_of_the_version_there_is_not_modified")
class ClaimsIfNoneMatchWithoutComparing(MemoryDriver):
    async def open_read(self, path, options, /):
        return await super().open_read(path, replace(options, if_none_match=None))


# Several ranges


@caught_by("test_get_ranges_keeps_the_order_of_the_ranges")
class ReadsRangesInTheOrderOfTheFile(MemoryDriver):
    async def read_ranges(self, path, ranges, options, /):
        return await super().read_ranges(path, sorted(ranges), options)


@caught_by("test_get_ranges_of_overlapping_ranges_has_the_bytes_of_each")
class ReadsEachOfTheRangesOnce(MemoryDriver):
    async def read_ranges(self, path, ranges, options, /):
        return await super().read_ranges(path, list(dict.fromkeys(ranges)), options)


@caught_by("test_get_ranges_of_empty_ranges_has_no_bytes")
class AnEmptyRangeHasOneByte(MemoryDriver):
    async def read_ranges(self, path, ranges, options, /):
        longer = [(start, max(start + 1, end)) for start, end in ranges]
        return await super().read_ranges(path, longer, options)


@caught_by("test_get_ranges_far_apart_is_exact")
class ReadsRangesOfTheFirstPartOnly(MemoryDriver):
    async def read_ranges(self, path, ranges, options, /):
        head = (await self.get(path))[:262_144]
        await super().read_ranges(path, ranges, options)
        return [head[start:end] for start, end in ranges]


@caught_by("test_get_ranges_of_missing_file_fails")
class ReadingNothingNeedsNoFile(MemoryDriver):
    async def open_read(self, path, options, /):
        if options.end == 0 and path not in self._files:
            await self.put("nothing", b"")
            path = "nothing"
        return await super().open_read(path, options)

    async def read_ranges(self, path, ranges, options, /):
        if path not in self._files:
            return [b""] * len(ranges)
        return await super().read_ranges(path, ranges, options)


@caught_by("test_get_ranges_is_of_one_version")
class ReadsEachRangeOfWhatIsThereNow(MemoryDriver):
    async def read_ranges(self, path, ranges, options, /):
        found = list(await super().read_ranges(path, ranges[:1], options))
        for start, end in ranges[1:]:
            await asyncio.sleep(0)
            found.append((await self.get(path))[start:end])
        return found


@caught_by("test_read_ranges_is_cut_at_the_end")
class RefusesRangesPastTheEnd(MemoryDriver):
    async def read_ranges(self, path, ranges, options, /):
        if max((end for _, end in ranges), default=0) > await self.size(path):
            raise StorageException("Range not satisfiable")
        return await super().read_ranges(path, ranges, options)


@caught_by("test_read_ranges_if_match_of_an_older_version_fails")
class RangesIgnoreIfMatch(MemoryDriver):
    async def read_ranges(self, path, ranges, options, /):
        return await super().read_ranges(path, ranges, replace(options, if_match=None))


# Listing


@caught_by("test_the_beginning_of_a_name_lists_nothing")
class ListsByTheBeginningOfNames(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries("", replace(options, recursive=True)):
            if entry.path.startswith(prefix):
                yield entry


@caught_by("test_each_entry_is_listed_once")
class ListsADirectoryForEachOfItsFiles(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, options):
            yield entry
            if isinstance(entry, DirectoryInfo):
                yield entry


@caught_by("test_a_recursive_listing_has_no_directories")
class ListsDirectoriesRecursively(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, options):
            if options.recursive and "/" in entry.path:
                yield DirectoryInfo(path=entry.path.rpartition("/")[0])
            yield entry


@caught_by("test_a_listing_goes_on_after_any_entry")
class ListsTheEntryToStartAfterAgain(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, replace(options, start_after=None)):
            key = f"{entry.path}/" if isinstance(entry, DirectoryInfo) else entry.path
            if options.start_after is None or key >= options.start_after:
                yield entry


@caught_by("test_the_order_is_that_of_utf8")
class ListsUnsorted(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        entries = super().list_entries(prefix, options)
        for entry in reversed([entry async for entry in entries]):
            yield entry


@caught_by("test_a_flat_listing_is_in_the_order_of_keys")
class ListsADirectoryInTheOrderOfItsName(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        entries = super().list_entries(prefix, options)
        for entry in sorted([entry async for entry in entries], key=lambda entry: entry.path):
            yield entry


@caught_by("test_a_listing_has_no_limit_of_a_thousand")
class ListsAThousandAtMost(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        number = 0
        async for entry in super().list_entries(prefix, options):
            number += 1
            if number > 1000:
                return
            yield entry


@caught_by("test_list_with_directories_has_each_before_its_entries")
class ListsDirectoriesAfterTheirEntries(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        entries = [entry async for entry in super().list_entries(prefix, options)]
        if options.directories and options.start_after is None:
            entries.sort(key=lambda entry: isinstance(entry, DirectoryInfo))
        for entry in entries:
            yield entry


@caught_by("test_list_with_directories_has_made_ones")
class ListsDirectoriesOfFilesOnly(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, options):
            below = f"{entry.path}/"
            if (
                not options.directories
                or not isinstance(entry, DirectoryInfo)
                or any(key.startswith(below) for key in self._files)
            ):
                yield entry


@caught_by("test_list_with_directories_goes_on_after_any_entry")
class GoesOnAfterTheWholeDirectory(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        after = options.start_after or ""
        async for entry in super().list_entries(prefix, options):
            if not options.directories or not (
                after.endswith("/") and entry.path.startswith(after)
            ):
                yield entry


@caught_by("test_list_entries_itself_yields_the_directory_alone")
class ADirectoryItselfIsTheFirstOfItsEntries(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        entries = super().list_entries(prefix, replace(options, itself=False))
        async for entry in entries:
            yield entry
            if options.itself:
                return


@caught_by("test_list_entries_reports_only_what_is_left_out")
class ReportsWhatItLists(MemoryDriver):
    supported_options = {  # noqa: RUF012
        **MemoryDriver.supported_options,
        "list_entries": MemoryDriver.supported_options["list_entries"] | {"left_out"},
    }

    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, options):
            yield entry
            if options.left_out is not None:
                options.left_out(entry.path, StorageException("It is left out"))


@caught_by("test_a_failing_backend_is_never_an_empty_listing", when_failing=True)
class AFailureIsAnEmptyListing(Unreachable):
    async def list_entries(self, prefix, options, /):
        try:
            entries = super().list_entries(prefix, options)
            async for entry in entries:
                yield entry
        except (StorageException, ConnectionError):
            return


# Lookups


@caught_by("test_glob_returns_the_files_that_match")
class ListsTypesInLowerCase(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, options):
            stem, dot, suffix = entry.path.rpartition(".")
            yield replace(entry, path=f"{stem}{dot}{suffix.lower() if dot else suffix}")


@caught_by("test_usage_counts_the_files_below_a_directory_and_their_bytes")
class ListsSizesInBlocks(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        async for entry in super().list_entries(prefix, options):
            if options.recursive and not isinstance(entry, DirectoryInfo):
                entry.size = -(-entry.size // 512) * 512
            yield entry


@caught_by("test_entry_of_file_is_its_metadata")
class EachLookModifies(MemoryDriver):
    async def stat(self, path, /):
        info = await super().stat(path)
        info.last_modified = time.time()
        return info


@caught_by("test_entry_of_directory_is_a_directory")
class StatReturnsADirectoryInADirectory(MemoryDriver):
    async def stat(self, path, /):
        if "/" in path and any(key.startswith(f"{path}/") for key in self._files):
            return FileInfo(path=path, size=0, last_modified=0.0)
        return await super().stat(path)


@caught_by("test_entry_of_made_directory_is_a_directory")
class ListsNoMadeDirectories(MemoryDriver):
    async def list_entries(self, prefix, options, /):
        made, self._directories = self._directories, set()
        try:
            entries = [entry async for entry in super().list_entries(prefix, options)]
        finally:
            self._directories = made
        for entry in entries:
            yield entry


@caught_by("test_entry_is_none_where_nothing_is")
class AFileIsItsOwnDirectory(MemoryDriver):
    async def stat(self, path, /):
        return await super().stat(next((key for key in self._files if f"{key}/" in path), path))


# Directories


@caught_by("test_deleting_a_directory_leaves_names_that_begin_alike")
class DeletesDirectoriesByTheBeginningOfNames(MemoryDriver):
    async def delete_directory(self, path, /):
        await super().delete_directory(path)
        for key in [key for key in self._files if key.startswith(path)]:
            del self._files[key]


@caught_by("test_neither_the_root_nor_what_is_above_can_be_deleted")
class DeletesTheRoot(MemoryDriver):
    async def delete_directory(self, path, /):
        if path:
            await super().delete_directory(path)
        else:
            self.flush()


@caught_by("test_a_directory_that_was_made_exists")
class ForgetsMadeDirectories(MemoryDriver):
    async def make_directory(self, _, /):
        pass


class MovesFileByFile(MemoryDriver):
    """No fault of its own: the base of those that move as a backend without directories does."""

    async def move_directory(self, src, dst, /):
        self.check_move(src, dst)
        below = f"{src}/"
        for key in [key for key in self._directories if key.startswith(below)]:
            await self.make_directory(dst + key.removeprefix(src).removesuffix("/"))
        for key in [key for key in self._files if key.startswith(below)]:
            await self.move_file(key, dst + key.removeprefix(src), WriteOptions())
        await self.delete_directory(src)

    def check_move(self, src, dst):
        check_not_below(dst, src)
        if not self.has_directory(src):
            raise FileNotFoundException("There is no such directory", path=src)
        if dst in self._files or self.has_directory(dst):
            raise FileExistsException("There is something at the target", path=dst)

    def has_directory(self, path):
        return any(key.startswith(f"{path}/") for key in (*self._files, *self._directories))


@caught_by("test_move_directory_moves_everything_below")
class MovesTheFirstLevelOfADirectory(MemoryDriver):
    async def move_directory(self, src, dst, /):
        deep = {key: file for key, file in self._files.items() if key.count("/") > 1}
        await super().move_directory(src, dst)
        for key in deep:
            await self.delete(dst + key.removeprefix(src))


@caught_by("test_move_directory_moves_everything_below")
class CopiesADirectory(MemoryDriver):
    async def move_directory(self, src, dst, /):
        files = {key: file for key, file in self._files.items() if key.startswith(f"{src}/")}
        await super().move_directory(src, dst)
        for key, file in files.items():
            self._store(key, file)


@caught_by("test_move_directory_moves_an_empty_one")
class MovesNoEmptyDirectory(MemoryDriver):
    async def move_directory(self, src, dst, /):
        if not any(key.startswith(f"{src}/") for key in self._files):
            raise FileNotFoundException("There is no such directory", path=src)
        await super().move_directory(src, dst)


@caught_by("test_move_directory_makes_directories_above_the_target")
class MovesADirectoryWithoutThoseAbove(MemoryDriver):
    async def move_directory(self, src, dst, /):
        await super().move_directory(src, dst)
        for key in [*self._directories]:
            if dst.startswith(key):
                self._remove(key)


@caught_by("test_move_directory_leaves_names_that_begin_alike")
class MovesByTheBeginningOfNames(MemoryDriver):
    async def move_directory(self, src, dst, /):
        await super().move_directory(src, dst)
        for key in [key for key in self._files if key.startswith(src)]:
            await self.move_file(key, dst + key.removeprefix(src), WriteOptions())


@caught_by("test_move_directory_keeps_metadata_and_times")
class ForgetsMetadataOfMovedDirectories(MemoryDriver):
    async def move_directory(self, src, dst, /):
        await super().move_directory(src, dst)
        for key in [key for key in self._files if key.startswith(f"{dst}/")]:
            await self.put(key, await self.get(key))


@caught_by("test_move_directory_leaves_a_place_for_another")
class MovesADirectoryOnce(MemoryDriver):
    async def move_directory(self, src, dst, /):
        moved = self.__dict__.setdefault("moved", set())
        if src in moved or dst in moved:
            raise FileNotFoundException("There is no such directory", path=src)
        moved |= {src, dst}
        await super().move_directory(src, dst)


@caught_by("test_move_directory_requires_its_source")
class MovesAMissingDirectory(MemoryDriver):
    async def move_directory(self, src, dst, /):
        try:
            await super().move_directory(src, dst)
        except FileNotFoundException:
            return


@caught_by("test_move_directory_requires_its_source")
class MakesTheTargetFirst(MemoryDriver):
    async def move_directory(self, src, dst, /):
        if "/" in dst:
            await self.make_directory(dst.rpartition("/")[0])
        await super().move_directory(src, dst)


@caught_by("test_move_directory_moves_no_file")
class MovesAFileAsADirectory(MemoryDriver):
    async def move_directory(self, src, dst, /):
        if src in self._files:
            await self.move_file(src, dst, WriteOptions())
        else:
            await super().move_directory(src, dst)


class _ReplacesTargets(MovesFileByFile):
    def check_move(self, src, dst):
        check_not_below(dst, src)
        if not self.has_directory(src):
            raise FileNotFoundException("There is no such directory", path=src)


@caught_by("test_move_directory_replaces_nothing")
class MovesIntoWhatIsThere(_ReplacesTargets):
    pass


@caught_by("test_move_directory_replaces_nothing")
class MovesInPlaceOfAnEmptyDirectory(_ReplacesTargets):
    def check_move(self, src, dst):
        super().check_move(src, dst)
        if src == dst or dst in self._files or any(k.startswith(f"{dst}/") for k in self._files):
            raise FileExistsException("There is something at the target", path=dst)


@caught_by("test_move_directory_replaces_nothing")
class MovesInPlaceOfAFile(MovesFileByFile):
    def check_move(self, src, dst):
        if dst in self._files:
            self._remove(dst)
        super().check_move(src, dst)


@caught_by("test_move_directory_to_a_place_above_itself")
class MovesADirectoryToAbove(_ReplacesTargets):
    pass


@caught_by("test_move_directory_refuses_a_target_within")
class MovesADirectoryIntoItself(MemoryDriver):
    async def move_directory(self, src, dst, /):
        if not dst.startswith(f"{src}/"):
            await super().move_directory(src, dst)


class _Hesitates(MovesFileByFile):
    """Others come between the check and the move."""

    def __init__(self, **options):
        super().__init__(**options)
        self.arrived = 0

    async def all_arrived(self):
        self.arrived += 1
        for _ in range(10):
            await asyncio.sleep(0)


@caught_by("test_move_directory_of_several_at_once_has_one_source")
class MovesADirectoryOfSeveral(_Hesitates):
    async def move_directory(self, src, dst, /):
        self.check_move(src, dst)
        await self.all_arrived()
        if self.has_directory(src):
            await super().move_directory(src, dst)


@caught_by("test_move_directory_of_several_at_once_has_one_target")
class MovesSeveralToOnePlace(_Hesitates):
    async def move_directory(self, src, dst, /):
        self.check_move(src, dst)
        await self.all_arrived()
        for key in [key for key in self._files if key.startswith(f"{src}/")]:
            await self.move_file(key, dst + key.removeprefix(src), WriteOptions())


@caught_by("test_move_directory_is_seen_whole")
class MovesADirectoryInSteps(MovesFileByFile):
    async def move_file(self, src, dst, options, /):
        await asyncio.sleep(0)
        return await super().move_file(src, dst, options)


@caught_by("test_remove_empty_directory_removes_it_and_no_other")
class RemovesDirectoriesByTheBeginningOfNames(MemoryDriver):
    async def remove_empty_directory(self, path, /):
        removed = await super().remove_empty_directory(path)
        if removed:
            self._directories = {key for key in self._directories if not key.startswith(path)}
        return removed


@caught_by("test_remove_empty_directory_refuses_one_with_files")
class RemovesADirectoryWithItsFiles(MemoryDriver):
    async def remove_empty_directory(self, path, /):
        for key in [key for key in self._files if key.startswith(f"{path}/")]:
            del self._files[key]
        return await super().remove_empty_directory(path)


@caught_by("test_remove_empty_directory_refuses_one_with_directories")
class RemovesADirectoryWithItsDirectories(MemoryDriver):
    async def remove_empty_directory(self, path, /):
        below = f"{path}/"
        self._directories -= {key for key in self._directories if key.startswith(below)} - {below}
        return await super().remove_empty_directory(path)


@caught_by("test_remove_empty_directory_returns_false_where_nothing_is")
class RemovesWhatIsNotThere(MemoryDriver):
    async def remove_empty_directory(self, path, /):
        found = f"{path}/" in self.__dict__.setdefault("removed", set())
        self.removed.add(f"{path}/")
        return await super().remove_empty_directory(path) or not found


@caught_by("test_remove_empty_directory_refuses_a_file")
class AFileIsAMissingDirectory(MemoryDriver):
    async def remove_empty_directory(self, path, /):
        if path in self._files:
            return False
        return await super().remove_empty_directory(path)


@caught_by("test_remove_empty_directory_refuses_the_root")
class TheRootIsAMissingDirectory(MemoryDriver):
    async def remove_empty_directory(self, path, /):
        return bool(path) and await super().remove_empty_directory(path)


@caught_by("test_remove_empty_directory_never_removes_a_file_put_meanwhile")
class LooksThenRemoves(MemoryDriver):
    async def remove_empty_directory(self, path, /):
        removed = await super().remove_empty_directory(path)
        await asyncio.sleep(0)
        if removed:
            await self.delete_directory(path)
        return removed


# Copies


@caught_by("test_the_metadata_travels")
class ACopyDropsMetadata(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        etag = await super().copy_file(src, dst, options)
        replaced(self, dst, metadata=None)
        return etag


@caught_by("test_onto_itself_changes_nothing")
class AMoveOntoItselfDestroys(MemoryDriver):
    async def move_file(self, src, dst, options, /):
        await self.copy_file(src, dst, options)
        await self.delete(src)


@caught_by("test_onto_itself_drops_no_option")
class ACopyOntoItselfDropsItsOptions(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        if src == dst:
            return self._file(src).etag
        return await super().copy_file(src, dst, options)


@caught_by("test_onto_itself_overwrite_false_is_refused")
class ACopyOntoItselfOverwritesNothing(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        options.overwrite = options.overwrite or src == dst
        return await super().copy_file(src, dst, options)


@caught_by("test_a_target_that_exists_can_be_refused")
class ACopyOverwritesWhatItShouldNot(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        options.overwrite = True
        return await super().copy_file(src, dst, options)


@caught_by("test_a_move_takes_the_source_away")
class AMoveIsACopy(MemoryDriver):
    async def move_file(self, src, dst, options, /):
        return await self.copy_file(src, dst, options)


@caught_by("test_a_source_that_changed_can_be_refused")
class ACopyIgnoresIfSourceMatch(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        options.if_source_match = None
        return await super().copy_file(src, dst, options)


# Conditions


@caught_by("test_create_only_refuses_a_file_that_is_there")
class OverwriteFalseOverwrites(MemoryDriver):
    async def write_file(self, path, content, options, /):
        options.overwrite = True
        return await super().write_file(path, content, options)


@caught_by("test_an_etag_refuses_a_write_where_the_file_is_gone")
class IfMatchIsIgnoredWhereTheFileIsGone(MemoryDriver):
    async def write_file(self, path, content, options, /):
        if not await self.exists(path):
            options.if_match = None
        return await super().write_file(path, content, options)


@caught_by("test_of_many_creators_one_wins")
class ChecksThenCreates(MemoryDriver):
    async def write_file(self, path, content, options, /):
        if not options.overwrite and not await self.exists(path):
            options.overwrite = True
            await asyncio.sleep(0)
        return await super().write_file(path, content, options)


@caught_by("test_no_update_is_lost_where_each_names_the_version_it_read")
class ChecksThenReplaces(MemoryDriver):
    async def write_file(self, path, content, options, /):
        if options.if_match is not None and (await self.stat(path)).etag != options.if_match:
            raise PreconditionFailedException("Another version")
        options.if_match = None
        await asyncio.sleep(0)
        return await super().write_file(path, content, options)


# Metadata and visibility


@caught_by("test_a_metadata_value_is_kept_as_it_is")
class LowersMetadata(MemoryDriver):
    async def write_file(self, path, content, options, /):
        if options.metadata:
            options.metadata = {name: value.lower() for name, value in options.metadata.items()}
        return await super().write_file(path, content, options)


@caught_by("test_a_put_without_metadata_forgets_the_old")
class KeepsTheMetadataOfTheOldFile(MemoryDriver):
    async def put(self, path, content, /):
        old = self._files.get(path)
        await super().put(path, content)
        if old:
            replaced(self, path, metadata=old.metadata)
        return path


@caught_by("test_a_declared_content_type_beats_name_and_content")
class SniffsOverWhatWasDeclared(MemoryDriver):
    async def stat(self, path, /):
        replaced(self, path, content_type=None)
        return await super().stat(path)


@caught_by("test_set_metadata_replaces_what_is_given_and_keeps_the_rest")
class AnUpdateForgetsWhatIsNotGiven(MemoryDriver):
    async def update_metadata(self, path, options, /):
        replaced(self, path, content_type=None, cache_control=None, content_disposition=None)
        return await super().update_metadata(path, options)


@caught_by("test_set_metadata_replaces_what_is_given_and_keeps_the_rest")
class AnUpdateMergesMetadata(MemoryDriver):
    async def update_metadata(self, path, options, /):
        if options.metadata:
            options.metadata = {**(self._file(path).metadata or {}), **options.metadata}
        return await super().update_metadata(path, options)


@caught_by("test_set_metadata_of_no_names_removes_all")
class NoMetadataIsNoUpdate(MemoryDriver):
    async def update_metadata(self, path, options, /):
        options.metadata = options.metadata or None
        return await super().update_metadata(path, options)


@caught_by("test_set_metadata_keeps_the_content")
class AnUpdateRewritesTheFirstChunkOnly(MemoryDriver):
    async def update_metadata(self, path, options, /):
        etag = await super().update_metadata(path, options)
        replaced(self, path, content=(await self.get(path))[:65_536])
        return etag


@caught_by("test_set_metadata_keeps_the_visibility")
class AnUpdateMakesPrivate(MemoryDriver):
    async def update_metadata(self, path, options, /):
        etag = await super().update_metadata(path, options)
        replaced(self, path, visibility=Visibility.PRIVATE)
        return etag


@caught_by("test_set_metadata_if_match_of_the_version_there_updates")
class AnUpdateComparesQuotedEtags(MemoryDriver):
    async def update_metadata(self, path, options, /):
        if options.if_match is not None:
            options.if_match = f'"{options.if_match}"'
        return await super().update_metadata(path, options)


@caught_by("test_set_metadata_if_match_of_an_older_version_changes_nothing")
class AnUpdateIgnoresIfMatch(MemoryDriver):
    async def update_metadata(self, path, options, /):
        options.if_match = None
        return await super().update_metadata(path, options)


@caught_by("test_set_metadata_of_two_at_once_under_one_etag_one_fails")
class ChecksThenUpdates(MemoryDriver):
    async def update_metadata(self, path, options, /):
        if options.if_match not in {None, self._file(path).etag}:
            raise PreconditionFailedException("Another version")
        options.if_match = None
        await asyncio.sleep(0)
        return await super().update_metadata(path, options)


@caught_by("test_set_metadata_of_missing_file_fails_and_makes_none")
class UpdatesTheMetadataOfNothing(MemoryDriver):
    async def update_metadata(self, path, options, /):
        if await self.exists(path):
            return await super().update_metadata(path, options)
        return None


@caught_by("test_update_metadata_returns_the_etag_of_the_file")
class AnUpdateReturnsTheOldEtag(MemoryDriver):
    async def update_metadata(self, path, options, /):
        old = self._file(path).etag
        await super().update_metadata(path, options)
        return old


@caught_by("test_a_visibility_that_was_set_is_returned")
class ClaimsVisibilityWithoutKeepingIt(MemoryDriver):
    async def visibility(self, path, /):
        self._file(path)
        return Visibility.PRIVATE


@caught_by("test_a_file_that_is_replaced_keeps_its_visibility")
class AReplacedFileIsPrivate(MemoryDriver):
    async def write_file(self, path, content, options, /):
        options.visibility = options.visibility or Visibility.PRIVATE
        return await super().write_file(path, content, options)

    async def put(self, path, content, /):
        stored = await super().put(path, content)
        replaced(self, stored, visibility=Visibility.PRIVATE)
        return stored


@caught_by("test_a_visibility_that_is_given_replaces_the_old_one")
class KeepsTheOldVisibilityAlways(MemoryDriver):
    async def write_file(self, path, content, options, /):
        if path in self._files:
            options.visibility = None
        return await super().write_file(path, content, options)


@caught_by("test_a_copy_has_the_visibility_of_its_source")
class ACopyIsPrivate(MemoryDriver):
    async def copy_file(self, src, dst, options, /):
        options.visibility = options.visibility or Visibility.PRIVATE
        return await super().copy_file(src, dst, options)


@caught_by("test_a_missing_file_gets_no_visibility")
class SetsTheVisibilityOfNothing(MemoryDriver):
    async def set_visibility(self, path, visibility, /):
        if await self.exists(path):
            await super().set_visibility(path, visibility)


# Paths and URLs


@caught_by("test_a_path_that_could_mean_another_is_refused_by_every_method")
class TakesDots(MemoryDriver):
    async def put(self, path, content, /):
        if ".." in path:
            return path
        return await super().put(path, content)


@caught_by("test_a_path_that_could_mean_another_is_refused_by_every_method")
class ResolvesDots(MemoryDriver):
    async def get(self, path, /):
        return await super().get(path.replace("../", "").replace("./", "") or "x")


@caught_by("test_a_path_that_could_mean_another_is_refused_by_every_method")
class TakesTheReservedDirectory(MemoryDriver):
    async def exists(self, path, /):
        return not str(path).lower().startswith(".jtc") and await super().exists(path)


@caught_by("test_one_leading_slash_is_dropped")
class KeepsTheLeadingSlash(MemoryDriver):
    async def exists(self, path, /):
        return path in self._files


@caught_by("test_a_url_is_percent_encoded")
class TheUrlIsNotEncoded(MemoryDriver):
    def url(self, path, /):
        return self.path(path)


@caught_by("test_each_path_has_its_own_url")
class TheUrlIsEncodedAsAForm(MemoryDriver):
    def url(self, path, /):
        return super().url(path).replace("%20", "+").replace("%2B", "+")


@caught_by("test_temporary_url_stable_for_is_the_same_within_a_period")
class ClaimsStableUrlsWithoutMakingThem(MemoryDriver):
    async def temporary_url(self, path, options, /):
        return await super().temporary_url(path, replace(options, stable_for=None))


@caught_by("test_temporary_url_stable_for_binds_the_file_and_the_options")
class KeepsStableUrlsByTheirFile(MemoryDriver):
    async def temporary_url(self, path, options, /):
        url = await super().temporary_url(path, options)
        if options.stable_for is None:
            return url
        return self.__dict__.setdefault("urls", {}).setdefault(path, url)


@caught_by("test_temporary_urls_has_one_for_each_path_as_it_was_given")
class SignsFiveUrlsAtMost(MemoryDriver):
    async def temporary_url(self, path, options, /):
        if next(self.__dict__.setdefault("signed", itertools.count())) >= 5:
            raise StorageException("Slow down")
        return await super().temporary_url(path, options)


@caught_by("test_an_upload_form_binds_the_smallest_size")
class ClaimsTheSmallestSizeWithoutSigningIt(MemoryDriver):
    async def temporary_upload_form(self, path, options, /):
        return await super().temporary_upload_form(path, replace(options, min_size=None))


# Errors


@caught_by("test_an_error_of_the_driver_alone_is_that_through_disk")
class RaisesABuiltinAlone(MemoryDriver):
    async def get(self, path, /):
        try:
            return await super().get(path)
        except FileNotFoundException:
            raise FileNotFoundError(path) from None


@caught_by("test_an_error_of_the_driver_alone_is_that_through_disk")
class NamesItsOwnMethodAlone(MemoryDriver):
    async def write_file(self, path, content, options, /):
        try:
            return await super().write_file(path, content, options)
        except StorageException as error:
            error.operation = "write_file"
            raise


# Contents


@caught_by("test_a_source_that_raises_leaves_the_old_file")
class APutIsNotAtomic(MemoryDriver):
    async def put(self, path, content, /):
        source = driver_content(content)
        if isinstance(source, bytes):
            return await super().put(path, source)
        await super().put(path, b"")
        try:
            return await super().put(path, content)
        except Exception:
            await super().put(path, b"half")
            raise


@caught_by("test_what_a_source_raises_comes_unchanged")
class TakesTheSourcesErrorsForItsOwn(MemoryDriver):
    async def put(self, path, content, /):
        try:
            return await super().put(path, content)
        except OSError as error:
            raise StorageException("The storage failed") from error


@caught_by("test_the_callers_file_stays_open")
class ClosesTheCallersFile(MemoryDriver):
    async def put(self, path, content, /):
        stored = await super().put(path, content)
        if hasattr(content, "close"):
            content.close()
        return stored


@caught_by("test_a_str_is_stored_as_utf8")
class TextIsNotUtf8(MemoryDriver):
    async def put(self, path, content, /):
        if isinstance(content, str):
            content = content.encode("utf-16")
        return await super().put(path, content)


@caught_by("test_put_stores_a_file_from_its_beginning")
class StoresTheRestOfAFile(MemoryDriver):
    async def put(self, path, content, /):
        return await super().put(path, content.read() if hasattr(content, "seek") else content)


@caught_by("test_put_stores_from_a_file_that_cannot_seek_what_is_left")
class StoresNothingOfAFileThatCannotSeek(MemoryDriver):
    async def put(self, path, content, /):
        if hasattr(content, "seekable") and not content.seekable():
            content = b""
        return await super().put(path, content)


@caught_by("test_put_refuses_a_generator_that_has_ended")
class AGeneratorThatHasEndedIsAnEmptyFile(MemoryDriver):
    async def put(self, path, content, /):
        if isinstance(content, types.GeneratorType):
            content = b"".join(content)
        return await super().put(path, content)


@caught_by("test_put_refuses_content_of_another_length_than_it_says")
class StoresAnUploadOfAnyLength(MemoryDriver):
    async def put(self, path, content, /):
        return await super().put(
            path, await content.read() if hasattr(content, "size") else content
        )


@caught_by("test_a_bytearray_that_changes_later_changes_nothing")
class KeepsTheCallersBytearray(MemoryDriver):
    async def put(self, path, content, /):
        stored = await super().put(path, content)
        if isinstance(content, bytearray):
            replaced(self, stored, content=content)
        return stored

    async def get(self, path, /):
        return bytes(await super().get(path))


@caught_by("test_every_kind_of_content_is_stored")
class ReadsFilesOnce(MemoryDriver):
    async def put(self, path, content, /):
        if hasattr(content, "readinto"):
            content = content.read(1024)
        return await super().put(path, content)


@caught_by("test_put_min_size_refuses_content_that_is_shorter")
class TakesARefusalAtTheEndForTheEnd(MemoryDriver):
    async def write_file(self, path, content, options, /):
        if not isinstance(content, AsyncIterator):
            return await super().write_file(path, content, options)
        read = b""
        try:
            async for chunk in content:
                read += chunk
        except RejectedException:
            if not read:
                raise
        return await super().write_file(path, read, options)


# Many deletes


@caught_by("test_each_answer_is_its_own")
class DeleteManyAlwaysReturnsTrue(MemoryDriver):
    async def delete_many(self, paths, /):
        await super().delete_many(paths)
        return dict.fromkeys(paths, True)


@caught_by("test_a_path_that_is_refused_stops_no_other")
class DeleteManyStopsAtTheFirstError(MemoryDriver):
    async def delete_many(self, paths, /):
        return {path: await self.delete(path) for path in paths}


@caught_by("test_more_than_a_thousand_are_answered")
class DeletesAThousandAtMost(MemoryDriver):
    async def delete_many(self, paths, /):
        return await super().delete_many(paths[:1000])


# Concurrency and cancellation


@caught_by("test_a_reader_never_sees_half_a_file")
class WritesInTwoSteps(MemoryDriver):
    async def put(self, path, content, /):
        if isinstance(content, bytes):
            await super().put(path, content[: len(content) // 3])
            await asyncio.sleep(0)
        return await super().put(path, content)


@caught_by("test_a_file_exists_all_the_time_while_it_is_replaced")
class DeletesBeforeItWrites(MemoryDriver):
    async def put(self, path, content, /):
        await self.delete(path)
        await asyncio.sleep(0)
        return await super().put(path, content)


@caught_by("test_of_many_deleters_one_gets_true")
class ChecksThenDeletes(MemoryDriver):
    async def delete(self, path, /):
        found = await self.exists(path)
        await asyncio.sleep(0)
        await super().delete(path)
        return found


@caught_by("test_event_loops_one_after_another_can_use_it")
class IsBoundToItsFirstLoop(MemoryDriver):
    async def put(self, path, content, /):
        loop = self.__dict__.setdefault("loop", asyncio.get_running_loop())
        if loop is not asyncio.get_running_loop():
            raise RuntimeError("Another event loop")
        return await super().put(path, content)


@caught_by("test_nothing_changes_after_a_put_was_cancelled")
class GoesOnAfterACancellation(MemoryDriver):
    async def put(self, path, content, /):
        await asyncio.sleep(0)
        return await asyncio.shield(asyncio.create_task(self._later(path, content)))

    async def _later(self, path, content):
        await asyncio.sleep(0.003)
        return await super().put(path, content)


@caught_by("test_a_put_cancelled_while_its_source_waits_changes_nothing")
class SwallowsACancellation(MemoryDriver):
    async def put(self, path, content, /):
        try:
            return await super().put(path, content)
        except asyncio.CancelledError:
            return path


# Capabilities


@caught_by("test_supported_options_are_options_there_are")
class SupportsAnOptionThatDoesNotExist(MemoryDriver):
    @property
    def supported_options(self):
        return {"write_file": frozenset({"colour"})}


@caught_by("test_every_kind_of_content_may_have_options")
class ClaimsAnOptionWithoutKeepingIt(MemoryDriver):
    async def write_file(self, path, content, options, /):
        options.metadata = None
        return await super().write_file(path, content, options)


@caught_by("test_the_target_has_the_content")
class ClaimsAMoveWithoutDoingIt(MemoryDriver):
    async def move_file(self, *_):
        raise NotImplementedError


@caught_by("test_last_modified_does_not_go_back_at_an_overwrite")
class TheClockGoesBack(MemoryDriver):
    async def last_modified(self, path, /):
        looks = self.__dict__.setdefault("looks", itertools.count())
        return await super().last_modified(path) - next(looks)


@caught_by("test_a_check_leaves_nothing_behind")
class CheckLeavesItsProbes(MemoryDriver):
    async def check(self, path, /):
        await self.put(f"{path}/probe", b"1")


@caught_by("test_a_check_leaves_nothing_behind")
class CheckLeavesADirectory(MemoryDriver):
    async def check(self, path, /):
        await self.make_directory(path)


@caught_by("test_a_check_leaves_nothing_behind")
class CheckCannotBeMadeTwice(MemoryDriver):
    async def check(self, path, /):
        self.__dict__.setdefault("checked", []).append(path)
        if len(self.__dict__["checked"]) > 1:
            raise StorageException("Checked already")


globals().update(planted_in(__name__))
