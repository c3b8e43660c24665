require "spec.lua.support"
local media = require "sse.media"

describe("media.type", function()
  for path, expected in pairs {
    ["index.html"] = "text/html; charset=utf-8",
    ["a/b.c/APP.JS"] = "text/javascript; charset=utf-8",
    ["style.css"] = "text/css; charset=utf-8",
    ["notes.txt"] = "text/plain; charset=utf-8",
    ["data.json"] = "application/json",
    ["icon.svg"] = "image/svg+xml",
    ["font.woff2"] = "font/woff2",
    ["archive.tar.gz"] = "application/gzip",
    ["README"] = "application/octet-stream",
    ["x.unknown"] = "application/octet-stream",
    ["x."] = "application/octet-stream",
    ["dir.html/file"] = "application/octet-stream",
  } do
    it("knows " .. path, function()
      assert.equal(expected, media.type(path))
    end)
  end
end)
