from lsm.filesystem import FileSystem

class PosixFileSystem(FileSystem):
    def unlock(self, handle: int) -> None: ...
