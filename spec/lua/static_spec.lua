local support = require "spec.lua.support"
local static = require "sse.static"

local MODIFIED = 784111777
local DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
local TAG = ('"%x-%x-0"'):format(1000, MODIFIED)
local handler

local function get(file, headers, method)
  return handler { method = method or "GET", params = { file = file }, headers = headers or {} }
end

before_each(function()
  support.reset()
  local file = { size = 1000, mtime = MODIFIED }
  support.files = {
    ["/srv/feeds/public/page.html"] = file,
    ["/srv/feeds/public/index.html"] = file,
    ["/srv/feeds/public/docs/index.html"] = file,
    ["/srv/feeds/public/docs/a b?.txt"] = file,
    ["/srv/feeds/public/bare/file.css"] = file,
    ["/srv/feeds/public/empty.txt"] = { size = 0, mtime = MODIFIED },
    ["/srv/feeds/public/.env"] = file,
    ["/srv/feeds/public/.git/config"] = file,
    ["/srv/feeds/public/busy.txt"] = "EMFILE",
    ["/srv/feeds/public/link"] = "ELOOP",
    ["/srv/feeds/public/private.txt"] = "EACCES",
    ["/srv/other/home.htm"] = file,
  }
  handler = static.handler("/files/", "public")
end)

describe("static.handler", function()
  it("sends a file with its type and validators", function()
    local status, body, headers = get "page.html"
    assert.equal(200, status)
    assert.equal("/srv/feeds/public/page.html", body.file.path)
    assert.same({ 0, 1000 }, { body.offset, body.length })
    assert.same({
      ["Accept-Ranges"] = "bytes",
      ["Cache-Control"] = "no-cache",
      ["Content-Type"] = "text/html; charset=utf-8",
      ETag = TAG,
      ["Last-Modified"] = DATE,
      ["X-Content-Type-Options"] = "nosniff",
    }, headers)
  end)

  it("sends the index of a folder", function()
    assert.equal("/srv/feeds/public/index.html", select(2, get "").file.path)
    local _, body, headers = get "docs/"
    assert.equal("/srv/feeds/public/docs/index.html", body.file.path)
    assert.equal("text/html; charset=utf-8", headers["Content-Type"])
    assert.equal(404, (get "bare/"))
  end)

  it("redirects a folder to its slash", function()
    local function location(file)
      local status, body, headers = get(file)
      assert.equal(301, status)
      assert.is_nil(body)
      return headers.Location
    end
    assert.equal("/files/docs/", location "docs")
    assert.equal("/files/", location(nil))
    support.files["/srv/feeds/public/r\u{e4} %\r\n/x"] = {}
    assert.equal("/files/r%C3%A4%20%25%0D%0A/", location "r\u{e4} %\r\n")
  end)

  it("never redirects to another host", function()
    handler = static.handler("/", "public")
    support.files["/srv/feeds/public//evil.com/x"] = {}
    for _, file in ipairs { "/evil.com", "/evil.com/..", "\\evil.com", "/\\evil.com" } do
      assert.equal(404, (get(file)))
    end
    assert.equal("/docs/", select(3, get "docs").Location)
  end)

  it("finds nothing on crooked paths", function()
    for _, file in ipairs {
      "..", "../feeds.lua", "docs/../page.html", "docs/..", ".", "./page.html", "docs/./index.html", "/page.html",
      "docs//index.html", "//", "page.html\0", "docs\\index.html", "none.html", "page.html/", "PAGE.html", "...",
      "..%2f",
    } do
      local status, body = get(file)
      assert.same({ 404, "not found\n" }, { status, body }, file)
    end
    assert.equal(0, support.open_files)
  end)

  it("hides dotfiles unless told otherwise", function()
    for _, file in ipairs { ".env", ".git/config", ".git", ".git/" } do
      assert.equal(404, (get(file)))
    end
    handler = static.handler("/files", "public", { dotfiles = true })
    assert.equal(200, (get ".env"))
    assert.equal(200, (get ".git/config"))
    assert.equal(404, (get "../.env"))
    assert.equal(404, (get "."))
  end)

  it("tells the world's faults apart", function()
    assert.equal(404, (get "link"))
    assert.equal(404, (get "private.txt"))
    assert.equal(503, (get "busy.txt"))
  end)

  it("follows its options", function()
    handler = static.handler("/", "/srv/other", { index = "home.htm", cache_control = "max-age=60" })
    local status, body, headers = get ""
    assert.equal(200, status)
    assert.equal("/srv/other/home.htm", body.file.path)
    assert.equal("max-age=60", headers["Cache-Control"])
  end)
end)

describe("conditions", function()
  it("answers 304 to a tag it knows", function()
    for _, tags in ipairs { TAG, "W/" .. TAG, '"a", ' .. TAG, '"a",W/' .. TAG .. ',"b"', "*", " * " } do
      local status, body, headers = get("page.html", { ["if-none-match"] = tags })
      assert.equal(304, status, tags)
      assert.is_nil(body)
      assert.same({ ["Cache-Control"] = "no-cache", ETag = TAG, ["Last-Modified"] = DATE }, headers)
    end
    assert.equal(0, support.open_files)
    for _, tags in ipairs { '"a"', "", TAG:sub(2, -2), '"' .. TAG .. "x", "W/*" } do
      assert.equal(200, (get("page.html", { ["if-none-match"] = tags })), tags)
    end
  end)

  it("answers 304 when not modified since", function()
    for date, status in pairs {
      [DATE] = 304, ["Sun, 06 Nov 1994 08:49:36 GMT"] = 200, ["Mon, 07 Nov 1994 00:00:00 GMT"] = 304, nonsense = 200,
    } do
      assert.equal(status, (get("page.html", { ["if-modified-since"] = date })), date)
    end
  end)

  it("lets the tag decide where both are asked", function()
    assert.equal(200, (get("page.html", { ["if-none-match"] = '"a"', ["if-modified-since"] = DATE })))
    assert.equal(304, (get("page.html", {
      ["if-none-match"] = TAG, ["if-modified-since"] = "Sun, 06 Nov 1994 08:49:36 GMT",
    })))
  end)
end)

describe("ranges", function()
  it("sends a part", function()
    local status, body, headers = get("page.html", { range = "bytes=100-199" })
    assert.equal(206, status)
    assert.same({ 100, 100 }, { body.offset, body.length })
    assert.equal("bytes 100-199/1000", headers["Content-Range"])
    assert.equal("text/html; charset=utf-8", headers["Content-Type"])
  end)

  it("answers 416 to a part that is not there", function()
    local status, body, headers = get("page.html", { range = "bytes=1000-" })
    assert.equal(416, status)
    assert.equal("string", type(body))
    assert.equal("bytes */1000", headers["Content-Range"])
    assert.is_nil(headers["Content-Type"])
    assert.equal(416, (get("empty.txt", { range = "bytes=0-" })))
    assert.equal(0, support.open_files)
  end)

  it("sends all for several ranges, for nonsense and for other methods", function()
    for _, header in ipairs { "bytes=0-1,5-6", "bytes=x" } do
      local status, body = get("page.html", { range = header })
      assert.same({ 200, 1000 }, { status, body.length })
    end
    assert.equal(200, (get("page.html", { range = "bytes=0-1" }, "HEAD")))
  end)

  it("depends on an unchanged file when told so", function()
    for condition, status in pairs {
      [TAG] = 206, [DATE] = 206, ['"other"'] = 200, ["W/" .. TAG] = 200, ["Mon, 07 Nov 1994 00:00:00 GMT"] = 200,
    } do
      assert.equal(status, (get("page.html", { range = "bytes=0-1", ["if-range"] = condition })), condition)
    end
  end)

  it("comes after the conditions", function()
    assert.equal(304, (get("page.html", { range = "bytes=5000-", ["if-none-match"] = TAG })))
  end)
end)

describe("static's arguments", function()
  local function refused(...)
    return support.message(static.handler, ...)
  end

  it("are checked", function()
    assert.match("sse%.static: argument 1 %(prefix%) must be a plain path", refused("x", "public"))
    assert.match("argument 1 %(prefix%) must be a plain path", refused("/:a", "public"))
    assert.match("argument 1 %(prefix%) must be a string, got nil", refused(nil, "public"))
    assert.match("argument 2 %(folder%) must be a string, got nil", refused("/", nil))
    assert.match("sse%.static: unknown option 'dotfile'", refused("/", "public", { dotfile = true }))
    assert.match("sse%.static: cannot serve the folder '/srv/feeds/pubic': ", refused("/", "pubic"))
  end)
end)

describe("static.patterns", function()
  it("are the folder and what is below", function()
    assert.same({ "/*file" }, static.patterns "/")
    assert.same({ "/files", "/files/*file" }, static.patterns "/files")
    assert.same({ "/a/b", "/a/b/*file" }, static.patterns "/a/b/")
  end)
end)
