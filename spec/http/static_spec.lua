-- Files of a folder through the real binary: types, conditions, ranges, and no way out of the folder.

local uv = require "luv"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.http.support"

local LARGE = ("0123456789abcdef"):rep(2 ^ 18) -- 4 MiB
local ALL_BYTES = {}
for byte = 0, 255 do
  ALL_BYTES[byte + 1] = string.char(byte)
end

local router, idle_descriptors, outside

local function start(options)
  outside = support.tree { ["secret.txt"] = "secret", ["public-not/secret.txt"] = "secret" }
  local root = outside .. "/public"
  uv.fs_mkdir(root, 493)
  uv.fs_mkdir(root .. "/folder", 493)
  uv.fs_mkdir(root .. "/bare", 493)
  for name, text in pairs {
    ["index.html"] = "<p>index", ["page.html"] = "<p>page", ["a b%.txt"] = "odd name",
    ["folder/index.html"] = "<p>inner", ["folder/data.json"] = "{}", ["empty.txt"] = "", ["large.bin"] = LARGE,
    ["bytes.bin"] = table.concat(ALL_BYTES), [".hidden"] = "hidden", ["folder/.env"] = "hidden",
    ["digits.txt"] = "0123456789", ["bare/style.css"] = "p {}",
  } do
    files.write(root .. "/" .. name, text)
  end
  uv.fs_symlink(outside .. "/secret.txt", root .. "/link.txt")
  uv.fs_symlink("../secret.txt", root .. "/relative.txt")
  uv.fs_symlink("..", root .. "/up")
  uv.fs_symlink("digits.txt", root .. "/inner.txt")
  uv.fs_symlink("loop", root .. "/loop")
  options = options or {}
  options.script = ([[
    local sse = require "sse"
    sse.static("/", %q)
    sse.static("/files", %q)
    sse.get("/file", sse.file(%q))
  ]]):format(root, root, root .. "/digits.txt")
  router = support.start(options)
  idle_descriptors = router:descriptors()
  return root
end

describe("static files", function()
  setup(start)
  teardown(server.stop_all)

  it("come with type, length and validators", function()
    for name, kind in pairs {
      ["/page.html"] = "text/html; charset=utf-8",
      ["/folder/data.json"] = "application/json",
      ["/bare/style.css"] = "text/css; charset=utf-8",
      ["/digits.txt"] = "text/plain; charset=utf-8",
    } do
      local headers = http.get(router.port, name).headers
      assert.equal(kind, headers["content-type"], name)
      assert.equal("nosniff", headers["x-content-type-options"])
      assert.equal("bytes", headers["accept-ranges"])
      assert.matches('^"[%x-]+"$', headers.etag)
      assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", headers["last-modified"])
      assert.equal("no-cache", headers["cache-control"])
    end
  end)

  it("come byte for byte, large ones too", function()
    assert.equal(table.concat(ALL_BYTES), http.get(router.port, "/bytes.bin").body)
    assert.equal("", http.get(router.port, "/empty.txt").body)
    assert.is_true(LARGE == http.get(router.port, "/large.bin").body)
    assert.is_true(LARGE == http.get(router.port, "/large.bin", nil, { receive_buffer = 4096 }).body)
  end)

  it("come one after the other on one connection", function()
    local connection = http.connect(router.port)
    for _ = 1, 3 do
      connection:request("GET", "/large.bin")
      connection:request("GET", "/digits.txt")
      connection:request("GET", "/empty.txt")
    end
    for _ = 1, 3 do
      assert.is_true(LARGE == connection:receive_response().body)
      assert.equal("0123456789", connection:receive_response().body)
      assert.equal("", connection:receive_response().body)
    end
    connection:close()
  end)

  it("are found under each prefix, by encoded names, and one by itself", function()
    assert.equal("<p>page", http.get(router.port, "/files/page.html").body)
    assert.equal("odd name", http.get(router.port, "/a%20b%25.txt").body)
    assert.equal("0123456789", http.get(router.port, "/file").body)
    assert.equal("0123456789", http.get(router.port, "/inner.txt").body)
  end)

  it("of a folder are its index, behind a slash", function()
    assert.equal("<p>index", http.get(router.port, "/").body)
    assert.equal("<p>inner", http.get(router.port, "/folder/").body)
    for _, path in ipairs { "/folder", "/files", "/files/folder" } do
      local response = http.get(router.port, path)
      assert.same({ 301, path .. "/", "" }, { response.status, response.headers.location, response.body })
    end
    assert.equal("/folder/?a=1&b=%20", http.get(router.port, "/folder?a=1&b=%20").headers.location)
    assert.equal(404, http.get(router.port, "/bare/").status)
  end)

  it("answer HEAD without a body", function()
    local connection = http.connect(router.port)
    connection:request("HEAD", "/large.bin")
    local response = connection:receive_response { method = "HEAD" }
    assert.same({ 200, tostring(#LARGE) }, { response.status, response.headers["content-length"] })
    connection:request("HEAD", "/large.bin", { Range = "bytes=0-1" })
    assert.equal(200, connection:receive_response({ method = "HEAD" }).status)
    connection:request("GET", "/digits.txt")
    assert.equal("0123456789", connection:receive_response().body)
    connection:close()
  end)

  it("that the client has are 304", function()
    local headers = http.get(router.port, "/digits.txt").headers
    local function status(conditions)
      local response = http.get(router.port, "/digits.txt", conditions)
      if response.status == 304 then
        assert.equal("", response.body)
        assert.equal(headers.etag, response.headers.etag)
        assert.is_nil(response.headers["content-type"])
      end
      return response.status
    end
    assert.equal(304, status { ["If-None-Match"] = headers.etag })
    assert.equal(304, status { ["If-None-Match"] = 'W/' .. headers.etag })
    assert.equal(304, status { ["If-None-Match"] = '"other", ' .. headers.etag })
    assert.equal(304, status { ["If-None-Match"] = "*" })
    assert.equal(200, status { ["If-None-Match"] = '"other"' })
    assert.equal(304, status { ["If-Modified-Since"] = headers["last-modified"] })
    assert.equal(200, status { ["If-Modified-Since"] = "Sun, 06 Nov 1994 08:49:37 GMT" })
    assert.equal(200, status { ["If-Modified-Since"] = "yesterday" })
    assert.equal(200, status { ["If-None-Match"] = '"other"', ["If-Modified-Since"] = headers["last-modified"] })
  end)

  it("that are not as the client thinks are 412", function()
    local headers = http.get(router.port, "/digits.txt").headers
    local function status(conditions)
      return http.get(router.port, "/digits.txt", conditions).status
    end
    assert.equal(200, status { ["If-Match"] = headers.etag })
    assert.equal(200, status { ["If-Match"] = '"other", ' .. headers.etag })
    assert.equal(200, status { ["If-Match"] = "*" })
    assert.equal(412, status { ["If-Match"] = '"other"' })
    assert.equal(412, status { ["If-Match"] = "W/" .. headers.etag })
    assert.equal(412, status { ["If-Match"] = '"other"', ["If-None-Match"] = headers.etag })
    assert.equal(206, status { ["If-Match"] = headers.etag, Range = "bytes=0-1" })
    assert.equal(200, status { ["If-Unmodified-Since"] = headers["last-modified"] })
    assert.equal(412, status { ["If-Unmodified-Since"] = "Sun, 06 Nov 1994 08:49:37 GMT" })
    assert.equal(200, status { ["If-Unmodified-Since"] = "yesterday" })
    assert.equal(200, status { ["If-Match"] = "*", ["If-Unmodified-Since"] = "Sun, 06 Nov 1994 08:49:37 GMT" })
  end)

  it("come in ranges", function()
    local function range(value, more)
      local headers = { Range = value }
      for name, text in pairs(more or {}) do
        headers[name] = text
      end
      local response = http.get(router.port, "/digits.txt", headers)
      return { response.status, response.headers["content-range"], response.status < 400 and response.body or nil }
    end
    assert.same({ 206, "bytes 0-0/10", "0" }, range "bytes=0-0")
    assert.same({ 206, "bytes 2-4/10", "234" }, range "bytes=2-4")
    assert.same({ 206, "bytes 7-9/10", "789" }, range "bytes=7-")
    assert.same({ 206, "bytes 7-9/10", "789" }, range "bytes=-3")
    assert.same({ 206, "bytes 5-9/10", "56789" }, range "bytes=5-999")
    assert.same({ 206, "bytes 0-9/10", "0123456789" }, range "bytes=-999")
    assert.same({ 416, "bytes */10" }, range "bytes=10-")
    assert.same({ 416, "bytes */10" }, range "bytes=10-20")
    assert.same({ 200, nil, "0123456789" }, range "bytes=4-2")
    assert.same({ 200, nil, "0123456789" }, range "lines=1-2")
    assert.same({ 200, nil, "0123456789" }, range "bytes=x")
    local tag = http.get(router.port, "/digits.txt").headers.etag
    assert.same({ 206, "bytes 2-4/10", "234" }, range("bytes=2-4", { ["If-Range"] = tag }))
    assert.same({ 200, nil, "0123456789" }, range("bytes=2-4", { ["If-Range"] = '"other"' }))
    local middle = http.get(router.port, "/large.bin", { Range = "bytes=1000001-3000000" })
    assert.is_true(LARGE:sub(1000002, 3000001) == middle.body)
  end)

  it("never come from outside the folder", function()
    for _, path in ipairs {
      "/../secret.txt", "/%2e%2e/secret.txt", "/%2E%2E%2Fsecret.txt", "/..%2fsecret.txt", "/folder/../../secret.txt",
      "/folder/%2e%2e/%2e%2e/secret.txt", "/./../secret.txt", "//secret.txt", "/files/..", "/files/%2e%2e/secret.txt",
      "/files/%2fetc/passwd", "/files//etc/passwd", "/..\\secret.txt", "/%5c..%5csecret.txt",
      "/../public-not/secret.txt",
      "/link.txt", "/relative.txt", "/up/secret.txt", "/up/", "/loop", "/.hidden", "/folder/.env", "/%2ehidden",
      "/digits.txt/", "/digits.txt/x", "/page.html%2f", "/" .. ("a"):rep(300), "/" .. ("a/"):rep(3000),
      "/digits.txt%00.html", "/%00", "/%c0%ae%c0%ae/secret.txt", "/....//secret.txt", "/;/secret.txt",
    } do
      local response = http.get(router.port, path)
      assert.is_true(response.status == 404 or response.status == 400, path .. ": " .. response.status)
      assert.not_matches("secret", response.body)
      assert.not_matches("hidden", response.body)
      assert.not_matches("root:", response.body)
    end
  end)

  it("leave no descriptor open, whatever the answer", function()
    local tag = http.get(router.port, "/digits.txt").headers.etag
    local connection = http.connect(router.port)
    local function ask(method, path, headers)
      connection:request(method, path, headers)
      return connection:receive_response({ method = method }).status
    end
    assert.equal(206, ask("GET", "/digits.txt", { Range = "bytes=1-2" }))
    support.expect_descriptors(router, idle_descriptors + 1)
    for _ = 1, 20 do
      assert.equal(301, ask("GET", "/folder"))
      assert.equal(304, ask("GET", "/digits.txt", { ["If-None-Match"] = tag }))
      assert.equal(416, ask("GET", "/digits.txt", { Range = "bytes=90-" }))
    end
    assert.equal(idle_descriptors + 1, router:descriptors())
    for _ = 1, 20 do
      assert.equal(200, ask("HEAD", "/digits.txt"))
      assert.equal(200, ask("GET", "/empty.txt"))
      assert.equal(404, ask("GET", "/nothing"))
    end
    support.expect_descriptors(router, idle_descriptors + 1)
    connection:close()
  end)

  it("are closed when their client leaves amid one", function()
    for _ = 1, 10 do
      local connection = http.connect(router.port, { receive_buffer = 4096 })
      connection:request("GET", "/large.bin")
      connection:wait_bytes(1)
      connection:reset()
    end
    support.expect_descriptors(router, idle_descriptors)
  end)
end)

describe("a static file", function()
  after_each(server.stop_all)

  it("that changes gets another tag", function()
    local root = start()
    local before = http.get(router.port, "/digits.txt")
    files.write(root .. "/digits.txt", "abc")
    local after = http.get(router.port, "/digits.txt", { ["If-None-Match"] = before.headers.etag })
    assert.same({ 200, "abc" }, { after.status, after.body })
    assert.not_equal(before.headers.etag, after.headers.etag)
  end)

  it("gets another tag also within a second and with the same length", function()
    local path = start() .. "/digits.txt"
    local tags = {}
    for fraction = 1, 3 do
      files.write(path, "abc" .. fraction)
      assert(uv.fs_utime(path, 1000000000 + fraction / 8, 1000000000 + fraction / 8))
      local response = http.get(router.port, "/digits.txt", { ["If-None-Match"] = tags[fraction - 1] })
      assert.same({ 200, "abc" .. fraction }, { response.status, response.body })
      tags[fraction] = response.headers.etag
    end
  end)

  it("that becomes shorter while it is sent ends the connection, since its length was told", function()
    local root = start()
    local connection = http.connect(router.port, { receive_buffer = 4096 })
    connection:request("GET", "/large.bin")
    connection:wait_bytes(1)
    connection:pause()
    local file = assert(uv.fs_open(root .. "/large.bin", "r+", 0))
    assert(uv.fs_ftruncate(file, 1000))
    uv.fs_close(file)
    connection:resume()
    connection:wait_closed()
    assert.is_true(connection.received < #LARGE)
    loop.settle()
    assert.equal(200, http.get(router.port, "/digits.txt").status)
  end)
end)
