/** What the file system needs of S3: an object's size, bytes and parts, listings, copies. */
package genomicslake.rehearsal

import java.io.{ByteArrayInputStream, FileInputStream, FileNotFoundException, IOException, InterruptedIOException}
import java.net.URI
import java.net.http.HttpClient.Version
import java.net.http.HttpRequest.BodyPublishers
import java.net.http.HttpResponse.BodyHandlers
import java.net.http.{HttpClient, HttpRequest, HttpResponse}
import java.nio.charset.StandardCharsets.UTF_8
import java.security.cert.CertificateFactory
import java.security.{KeyStore, MessageDigest}
import java.time.format.DateTimeFormatter
import java.time.{Duration, Instant, ZoneOffset, ZonedDateTime}
import java.util.Base64
import javax.crypto.Mac
import javax.crypto.spec.SecretKeySpec
import javax.net.ssl.{SSLContext, TrustManagerFactory}

import scala.collection.JavaConverters._
import scala.xml.{Elem, XML}

import org.apache.hadoop.security.AccessControlException

/** A key of a listing; one that ends with `/` is a folder. */
case class Found(key: String, size: Long, modified: Long)

/** S3's operations on one bucket, by the environment's endpoint, region and credentials. */
class Bucket(val name: String) {
  def size(key: String): Option[(Long, Long)] =
    try {
      val headers = send("HEAD", key).headers
      val modified = headers.firstValue("last-modified").map[Long] { text =>
        ZonedDateTime.parse(text, DateTimeFormatter.RFC_1123_DATE_TIME).toInstant.toEpochMilli
      }
      Some((headers.firstValueAsLong("content-length").orElse(0), modified.orElse(0L)))
    } catch { case _: FileNotFoundException => None }

  def list(prefix: String, delimiter: String = "", limit: Int = Int.MaxValue): Seq[Found] = {
    val query = Seq("list-type" -> "2", "prefix" -> prefix, "max-keys" -> limit.min(1000).toString) ++
      Option(delimiter).filter(_.nonEmpty).map("delimiter" -> _)
    var (found, next) = (Vector.empty[Found], Option(""))
    while (next.nonEmpty && found.size < limit) {
      val page = xml(send("GET", "", query ++ next.filter(_.nonEmpty).map("continuation-token" -> _)))
      found ++= (page \ "Contents").map { one =>
        Found((one \ "Key").text, (one \ "Size").text.toLong, Instant.parse((one \ "LastModified").text).toEpochMilli)
      }
      found ++= (page \ "CommonPrefixes").map(one => Found((one \ "Prefix").text, 0, 0))
      next = (page \ "NextContinuationToken").headOption.map(_.text)
    }
    found
  }

  def range(key: String, first: Long, last: Long): Array[Byte] =
    send("GET", key, headers = Seq("range" -> s"bytes=$first-$last")).body

  def put(key: String, body: Array[Byte]): Unit = send("PUT", key, body = body)

  def copy(from: String, to: String): Unit =
    xml(send("PUT", to, headers = Seq("x-amz-copy-source" -> s"/$name/${encoded(from, keep = "/")}")))

  def delete(keys: Seq[String]): Unit = keys.grouped(1000).foreach {
    case Seq(key) => send("DELETE", key)
    case some =>
      val objects = some.map(key => <Object><Key>{key}</Key></Object>)
      val body = <Delete><Quiet>true</Quiet>{objects}</Delete>.toString.getBytes(UTF_8)
      val digest = Base64.getEncoder.encodeToString(MessageDigest.getInstance("MD5").digest(body))
      xml(send("POST", "", Seq("delete" -> ""), Seq("content-md5" -> digest), body))
  }

  def startUpload(key: String): String = (xml(send("POST", key, Seq("uploads" -> ""))) \ "UploadId").text

  def putPart(key: String, upload: String, number: Int, body: Array[Byte]): String =
    send("PUT", key, Seq("partNumber" -> number.toString, "uploadId" -> upload), body = body)
      .headers.firstValue("etag").orElse("")

  def complete(key: String, upload: String, tags: Seq[String]): Unit = {
    val parts = tags.zipWithIndex.map { case (tag, index) =>
      <Part><PartNumber>{index + 1}</PartNumber><ETag>{tag}</ETag></Part>
    }
    val body = <CompleteMultipartUpload>{parts}</CompleteMultipartUpload>.toString.getBytes(UTF_8)
    xml(send("POST", key, Seq("uploadId" -> upload), body = body))
  }

  /** The answer to a signed request; what may pass is tried again. Raises what the caller of a file system expects. */
  private def send(
      method: String, key: String, query: Seq[(String, String)] = Nil, headers: Seq[(String, String)] = Nil,
      body: Array[Byte] = Array.emptyByteArray): HttpResponse[Array[Byte]] = {
    val path = s"/$name" + (if (key.isEmpty) "" else s"/${encoded(key, keep = "/")}")
    val answer = S3.answer(method, path, query, headers, body)
    if (answer.statusCode >= 300) fail(answer, s"$method s3://$name/$key")
    answer
  }

  private def encoded(text: String, keep: String = ""): String = S3.encoded(text, keep)

  /** The answer's XML; an error may stand in it under the status 200. */
  private def xml(answer: HttpResponse[Array[Byte]]): Elem = {
    val found = XML.load(new ByteArrayInputStream(answer.body))
    if ((found.label +: found.child.map(_.label)).contains("Error")) fail(answer, answer.request.uri.toString)
    found
  }

  private def fail(answer: HttpResponse[Array[Byte]], what: String): Nothing = {
    val text = new String(answer.body, UTF_8)
    def told(tag: String) = s"<$tag>([^<]*)</$tag>".r.findFirstMatchIn(text).map(_.group(1))
    val known = Map(403 -> "AccessDenied", 404 -> "NoSuchKey") // HEAD has no text
    val code = told("Code").orElse(known.get(answer.statusCode)).getOrElse(s"HTTP status ${answer.statusCode}")
    val message = s"$what: $code: ${told("Message").getOrElse("no message")}"
    throw (answer.statusCode match {
      case 403                        => new AccessControlException(message)
      case 404 if code == "NoSuchKey" => new FileNotFoundException(message)
      case _                          => new IOException(message)
    })
  }
}

/** Requests to S3, signed by version 4 of AWS's signatures. */
object S3 {
  private val tries = 6
  private val region = variable("AWS_REGION", "AWS_DEFAULT_REGION").getOrElse("us-east-1")
  private val endpoint = URI.create(
    variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL").getOrElse(s"https://s3.$region.amazonaws.com").stripSuffix("/"))
  private val client = {
    val builder = HttpClient.newBuilder.version(Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(10))
    variable("AWS_CA_BUNDLE").foreach(path => builder.sslContext(trusting(path)))
    builder.build
  }

  def answer(
      method: String, path: String, query: Seq[(String, String)], headers: Seq[(String, String)],
      body: Array[Byte]): HttpResponse[Array[Byte]] = {
    val canonical = query.map { case (name, value) => s"${encoded(name)}=${encoded(value)}" }.sorted.mkString("&")
    val uri = URI.create(s"$endpoint$path" + (if (canonical.isEmpty) "" else s"?$canonical"))
    var (tried, wait) = (1, 100L)
    while (true) {
      val request = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(120))
        .method(method, BodyPublishers.ofByteArray(body))
      signed(method, path, canonical, headers, body).foreach { case (name, value) => request.header(name, value) }
      try {
        val found = client.send(request.build, BodyHandlers.ofByteArray)
        if (found.statusCode < 500 || tried == tries) return found
      } catch {
        case error: InterruptedException =>
          throw new InterruptedIOException(error.toString)
        case error: IOException if tried == tries =>
          throw new IOException(s"$method $uri: ${error.getMessage} after $tries attempts", error)
        case _: IOException =>
      }
      Thread.sleep(wait)
      tried += 1
      wait *= 2
    }
    throw new IllegalStateException
  }

  /** The headers of a request with those that sign it. */
  private def signed(
      method: String, path: String, query: String, headers: Seq[(String, String)],
      body: Array[Byte]): Seq[(String, String)] = {
    val key = variable("AWS_ACCESS_KEY_ID").getOrElse(throw new AccessControlException("AWS_ACCESS_KEY_ID is not set"))
    val now = Instant.now.atZone(ZoneOffset.UTC)
    val time = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").format(now)
    val scope = s"${time.take(8)}/$region/s3/aws4_request"
    val sent = headers ++ variable("AWS_SESSION_TOKEN").map("x-amz-security-token" -> _) ++
      Seq("x-amz-content-sha256" -> hex(sha256(body)), "x-amz-date" -> time)
    val all = ("host" -> endpoint.getAuthority) +: sent
    val (names, lines) = all.sorted.map { case (name, value) => (name, s"$name:$value\n") }.unzip
    val asked = Seq(method, path, query, lines.mkString, names.mkString(";"), hex(sha256(body))).mkString("\n")
    val text = s"AWS4-HMAC-SHA256\n$time\n$scope\n${hex(sha256(asked.getBytes(UTF_8)))}"
    val secret = s"AWS4${variable("AWS_SECRET_ACCESS_KEY").getOrElse("")}".getBytes(UTF_8)
    val signature = hex((scope.split("/") :+ text).foldLeft(secret)(hmac))
    val credential = s"Credential=$key/$scope, SignedHeaders=${names.mkString(";")}, Signature=$signature"
    sent :+ ("authorization" -> s"AWS4-HMAC-SHA256 $credential")
  }

  /** Percent-encoded but for what RFC 3986 leaves as it is, and `keep`. */
  def encoded(text: String, keep: String = ""): String = text.getBytes(UTF_8).map { byte =>
    val char = (byte & 0xff).toChar
    if (char < 128 && (char.isLetterOrDigit || "-._~".contains(char) || keep.contains(char))) char.toString
    else f"%%${byte & 0xff}%02X"
  }.mkString

  private def variable(names: String*): Option[String] = names.flatMap(sys.env.get).find(_.nonEmpty)

  private def trusting(certificates: String): SSLContext = {
    val store = KeyStore.getInstance(KeyStore.getDefaultType)
    store.load(null, null)
    val file = new FileInputStream(certificates)
    try CertificateFactory.getInstance("X.509").generateCertificates(file).asScala.zipWithIndex.foreach {
      case (certificate, number) => store.setCertificateEntry(number.toString, certificate)
    } finally file.close()
    val trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm)
    trusted.init(store)
    val context = SSLContext.getInstance("TLS")
    context.init(null, trusted.getTrustManagers, null)
    context
  }

  private def sha256(bytes: Array[Byte]): Array[Byte] = MessageDigest.getInstance("SHA-256").digest(bytes)

  private def hmac(key: Array[Byte], text: String): Array[Byte] = {
    val mac = Mac.getInstance("HmacSHA256")
    mac.init(new SecretKeySpec(key, "HmacSHA256"))
    mac.doFinal(text.getBytes(UTF_8))
  }

  private def hex(bytes: Array[Byte]): String = bytes.map(byte => f"${byte & 0xff}%02x").mkString
}
