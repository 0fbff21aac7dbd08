/** The file system behind `s3://` for Spark and Hail in the rehearsal. On Glue that is EMRFS. */
package genomicslake.rehearsal

import java.io.{ByteArrayOutputStream, EOFException, FileNotFoundException, IOException, OutputStream}
import java.net.URI

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs._
import org.apache.hadoop.fs.permission.FsPermission
import org.apache.hadoop.util.Progressable

/** A bucket as a tree: an object is a file; what other keys begin with, up to a `/`, is a folder. */
class S3FileSystem extends FileSystem {
  private var uri: URI = _
  private var bucket: Bucket = _
  private var working: Path = _

  override def initialize(name: URI, conf: Configuration): Unit = {
    super.initialize(name, conf)
    setConf(conf)
    uri = URI.create(s"s3://${name.getAuthority}")
    bucket = new Bucket(name.getAuthority)
    working = new Path(uri.toString + "/")
  }

  override def getScheme: String = "s3"
  override def getUri: URI = uri
  override def getDefaultBlockSize: Long = 32L << 20 // that of local disks: Hail makes as many partitions from either
  override def getWorkingDirectory: Path = working
  override def setWorkingDirectory(path: Path): Unit = working = makeQualified(path)

  override def getFileStatus(path: Path): FileStatus = {
    val key = keyOf(path)
    def isFolder = key.isEmpty || bucket.list(s"$key/", limit = 1).nonEmpty
    if (key.nonEmpty) bucket.size(key) match {
      case Some(size) => return file(key, size._1, size._2)
      case None       =>
    }
    if (isFolder) folder(key) else throw new FileNotFoundException(s"s3://${bucket.name}/$key does not exist")
  }

  override def listStatus(path: Path): Array[FileStatus] = {
    val key = keyOf(path)
    val prefix = if (key.isEmpty) "" else s"$key/"
    val found = bucket.list(prefix, delimiter = "/")
    if (found.isEmpty) {
      val status = getFileStatus(path) // or it raises
      return if (status.isFile) Array(status) else Array.empty
    }
    found.filter(_.key != prefix).map { one =>
      if (one.key.endsWith("/")) folder(one.key.stripSuffix("/")) else file(one.key, one.size, one.modified)
    }.toArray
  }

  override def open(path: Path, bufferSize: Int): FSDataInputStream = {
    val status = getFileStatus(path)
    if (status.isDirectory) throw new FileNotFoundException(s"$path is a folder")
    new FSDataInputStream(new ObjectInput(bucket, keyOf(path), status.getLen))
  }

  override def create(
      path: Path, permission: FsPermission, overwrite: Boolean, bufferSize: Int, replication: Short, blockSize: Long,
      progress: Progressable): FSDataOutputStream = {
    if (!overwrite && bucket.size(keyOf(path)).nonEmpty) throw new FileAlreadyExistsException(s"$path exists")
    new FSDataOutputStream(new ObjectOutput(bucket, keyOf(path)), statistics)
  }

  override def append(path: Path, bufferSize: Int, progress: Progressable): FSDataOutputStream =
    throw new UnsupportedOperationException("S3 does not append to objects")

  override def mkdirs(path: Path, permission: FsPermission): Boolean = {
    if (keyOf(path).nonEmpty) bucket.put(s"${keyOf(path)}/", Array.emptyByteArray)
    true
  }

  override def rename(from: Path, to: Path): Boolean = {
    val isFile = getFileStatus(from).isFile
    val isInto = try getFileStatus(to).isDirectory catch { case _: FileNotFoundException => false }
    val source = keyOf(from)
    val target = keyOf(if (isInto) new Path(to, from.getName) else to)
    if (isFile) {
      bucket.copy(source, target)
      bucket.delete(Seq(source))
    } else {
      if (s"$target/".startsWith(s"$source/")) return false
      val keys = bucket.list(s"$source/").map(_.key)
      keys.par.foreach(key => bucket.copy(key, target + key.stripPrefix(source)))
      bucket.delete(keys)
    }
    true
  }

  override def delete(path: Path, recursive: Boolean): Boolean = {
    val key = keyOf(path)
    val isFile = key.nonEmpty && bucket.size(key).nonEmpty
    val keys = if (isFile) Seq(key) else bucket.list(if (key.isEmpty) "" else s"$key/").map(_.key)
    if (!recursive && keys.exists(_.stripSuffix("/") != key)) throw new PathIsNotEmptyDirectoryException(path.toString)
    bucket.delete(keys)
    keys.nonEmpty
  }

  private def keyOf(path: Path): String = makeQualified(path).toUri.getPath.stripPrefix("/").stripSuffix("/")

  private def pathOf(key: String): Path = new Path(uri.getScheme, uri.getAuthority, s"/$key")

  private def folder(key: String) = new FileStatus(0, true, 1, getDefaultBlockSize, 0, pathOf(key))

  private def file(key: String, size: Long, modified: Long) =
    new FileStatus(size, false, 1, getDefaultBlockSize, modified, pathOf(key))
}

/** An object, read in blocks that grow as long as they are read one behind the other. */
class ObjectInput(bucket: Bucket, key: String, size: Long) extends FSInputStream {
  private val (least, most) = (64 << 10, 4 << 20)
  private var (position, start) = (0L, 0L)
  private var block = Array.emptyByteArray
  private var ahead = least

  override def getPos: Long = position
  override def seekToNewSource(target: Long): Boolean = false
  override def available: Int = (start + block.length - position).max(0).min(Int.MaxValue).toInt

  override def seek(target: Long): Unit = {
    if (target < 0 || target > size) throw new EOFException(s"byte $target of $size")
    position = target
  }

  override def read(): Int = {
    val one = new Array[Byte](1)
    if (read(one, 0, 1) < 0) -1 else one(0) & 0xff
  }

  override def read(buffer: Array[Byte], offset: Int, length: Int): Int = {
    if (length == 0) return 0
    if (position >= size) return -1
    if (position < start || position >= start + block.length) fetch()
    val at = (position - start).toInt
    val count = length.min(block.length - at)
    System.arraycopy(block, at, buffer, offset, count)
    position += count
    count
  }

  private def fetch(): Unit = {
    ahead = if (position == start + block.length) (4 * ahead).min(most) else least
    block = bucket.range(key, position, (position + ahead).min(size) - 1)
    start = position
  }
}

/** An object that is there once it is closed; what is larger than a part goes up in several. */
class ObjectOutput(bucket: Bucket, key: String) extends OutputStream {
  private val part = 8 << 20
  private val buffer = new ByteArrayOutputStream
  private var upload: Option[String] = None
  private var tags = Vector.empty[String]
  private var isOpen = true

  override def write(byte: Int): Unit = write(Array(byte.toByte), 0, 1)

  override def write(bytes: Array[Byte], offset: Int, length: Int): Unit = {
    if (!isOpen) throw new IOException(s"s3://${bucket.name}/$key is closed")
    buffer.write(bytes, offset, length)
    if (buffer.size >= part) send()
  }

  override def close(): Unit = if (isOpen) {
    isOpen = false
    upload match {
      case None => bucket.put(key, buffer.toByteArray)
      case Some(id) =>
        if (buffer.size > 0) send()
        bucket.complete(key, id, tags)
    }
  }

  private def send(): Unit = {
    val id = upload.getOrElse(bucket.startUpload(key))
    upload = Some(id)
    tags :+= bucket.putPart(key, id, tags.size + 1, buffer.toByteArray)
    buffer.reset()
  }
}
