/** How Spark's tasks hand in their files in the rehearsal. On Glue that is EMRFS's committer. */
package genomicslake.rehearsal

import org.apache.hadoop.fs.Path
import org.apache.hadoop.mapreduce.{JobContext, TaskAttemptContext}
import org.apache.spark.internal.io.FileCommitProtocol
import org.apache.spark.internal.io.FileCommitProtocol.{EmptyTaskCommitMessage, TaskCommitMessage}

/** Files are written where they belong and never renamed, which on S3 would be a copy. An attempt that fails leaves
  * its files there; the next one of the same task writes files of the same names.
  */
class S3CommitProtocol(job: String, path: String, dynamic: Boolean) extends FileCommitProtocol with Serializable {
  override def newTaskTempFile(task: TaskAttemptContext, folder: Option[String], ending: String): String = {
    val name = f"part-${task.getTaskAttemptID.getTaskID.getId}%05d-$job$ending"
    folder.map(new Path(path, _)).map(new Path(_, name)).getOrElse(new Path(path, name)).toString
  }

  override def newTaskTempFileAbsPath(task: TaskAttemptContext, folder: String, ending: String): String =
    throw new UnsupportedOperationException("files outside of the table's folder")

  override def setupJob(job: JobContext): Unit = ()
  override def commitJob(job: JobContext, tasks: Seq[TaskCommitMessage]): Unit = ()
  override def abortJob(job: JobContext): Unit = ()
  override def setupTask(task: TaskAttemptContext): Unit = ()
  override def commitTask(task: TaskAttemptContext): TaskCommitMessage = EmptyTaskCommitMessage
  override def abortTask(task: TaskAttemptContext): Unit = ()
}
