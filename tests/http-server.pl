#!/usr/bin/perl
# An HTTP server for tests that can misbehave. usage: http-server.pl FOLDER LOG [PORT]
# Prints its port on the first line of standard output; a process a connection; ends with SIGTERM.
#
# A request is /BEHAVIOUR/FILE: the file in FOLDER, served in the way named. LOG gets a line a request:
# "BEHAVIOUR FILE RANGE". What happens only for the first requests is counted there.
use strict;
use warnings;
use Fcntl ':flock';
use IO::Socket::INET;
use POSIX ();

my ($folder, $log, $port) = @ARGV;
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port // 0, Listen => 64, ReuseAddr => 1)
    or die "cannot listen: $!";
$| = 1;
print $server->sockport, "\n";
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { kill 'KILL', -$$ if getpgrp == $$; POSIX::_exit(0) };
setpgrp;

while (1) {
    my $client = $server->accept or next;
    next if fork;
    $SIG{TERM} = 'DEFAULT';
    close $server;
    serve($client);
    POSIX::_exit(0);
}

# How many requests with this behaviour and file there were before this one.
sub note {
    my ($behaviour, $file, $range) = @_;
    local $/ = "\n";
    open my $fh, '+>>', $log or die;
    flock $fh, LOCK_EX;
    seek $fh, 0, 0;
    my $before = grep { /^\Q$behaviour $file \E/ } <$fh>;
    print $fh "$behaviour $file $range\n";
    close $fh;
    return $before;
}

sub hang { sleep 3600 }

sub send_header {
    my ($c, $status, %field) = @_;
    print $c "HTTP/1.1 $status\r\n", (map { "$_: $field{$_}\r\n" } sort keys %field), "\r\n";
    $c->flush;
}

sub page {
    my ($c, $status, %field) = @_;
    my $text = "<!DOCTYPE html><html><body>$status</body></html>\n";
    send_header($c, $status, 'Content-Type' => 'text/html', 'Content-Length' => length $text, %field);
    print $c $text;
}

# [first, last] of the file, at most $max bytes, $delay seconds between pieces.
sub send_body {
    my ($c, $path, $first, $last, $max, $piece, $delay) = @_;
    open my $fh, '<:raw', $path or return;
    seek $fh, $first, 0;
    my $left = $last - $first + 1;
    $left = $max if defined $max && $max < $left;
    while ($left > 0) {
        my $n = read $fh, my $buf, $left < $piece ? $left : $piece or last;
        print $c $buf or return;
        $c->flush;
        $left -= $n;
        select undef, undef, undef, $delay if $delay;
    }
}

sub serve {
    my ($c) = @_;
    binmode $c;
    local $/ = "\r\n";
    while (defined(my $line = <$c>)) {
        chomp $line;
        my ($method, $url) = split ' ', $line;
        my %head;
        while (defined(my $h = <$c>)) {
            chomp $h;
            last if $h eq '';
            $head{lc $1} = $2 if $h =~ /^([^:]+):\s*(.*)$/;
        }
        return if !defined $url;
        answer($c, $method, $url, \%head) or return;
        $c->flush;
    }
}

# True: the connection goes on.
sub answer {
    my ($c, $method, $url, $head) = @_;
    $url =~ s/\?.*//;
    $url =~ s/%([0-9a-f]{2})/chr hex $1/gie;
    my (undef, $how, $file) = split '/', $url, 3;
    my $path = "$folder/" . ($file // '');
    my $range = $head->{range} // '-';
    my $before = note($how, $file // '', $range);

    if ($how eq 'silent') { hang() }
    if ($how eq 'cutoff') { return 0 }                    # closes without a word
    if ($how eq 'bigheader') { print $c "HTTP/1.1 206 x\r\n"; print $c 'X-Y: ' . 'y' x 5000 . "\r\n" while $c->connected; return 0 }
    if ($how eq 'loop') { page($c, '302 Found', Location => $url); return 1 }
    if ($how eq 'tofile') { page($c, '302 Found', Location => 'file:///etc/passwd'); return 1 }
    if ($how eq 'redirect') { page($c, '302 Found', Location => "/ok/$file"); return 1 }
    if ($how eq 'signed') { page($c, '302 Found', Location => "/expires-$before/$file"); return 1 }
    if ($how =~ /^expires-/ && $before >= 6) { page($c, '403 Forbidden'); return 1 }
    if ($how eq 'busy') { page($c, '503 Service Unavailable'); return 1 }
    if ($how eq 'busyonce' && $before < 2) { page($c, '503 Service Unavailable', 'Retry-After' => 1); return 1 }
    if ($how eq 'busylong') { page($c, '503 Service Unavailable', 'Retry-After' => 3600); return 1 }
    if ($how eq 'busylater' && $before > 0) { page($c, '503 Service Unavailable'); return 1 }
    if ($how eq 'page') { page($c, '200 OK'); return 1 }
    if ($how eq 'private' && ($head->{authorization} // '') ne 'Basic dXNlcjpzZWNyZXQ=') {  # user:secret
        page($c, '401 Unauthorized', 'WWW-Authenticate' => 'Basic realm="x"');
        return 1;
    }
    if ($how eq 'cookie' && ($head->{cookie} // '') ne 'key=secret') { page($c, '403 Forbidden'); return 1 }
    if (!-f $path) { page($c, '404 Not Found'); return 1 }
    if ($how eq 'lost' && $before > 0) { page($c, '404 Not Found'); return 1 }

    my @st = stat $path;
    my $size = $st[7];
    my $etag = sprintf '"%x-%x"', $size, $st[9];
    $etag = '"other"' if $how =~ /^changed/ && $before > 0;
    my %field = ('Content-Type' => 'application/octet-stream', ETag => $etag,
        'Last-Modified' => POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime $st[9]));
    delete @field{'ETag', 'Last-Modified'} if $how eq 'noversion';
    delete $field{ETag} if $how eq 'dateonly';
    $field{ETag} = "W/$etag" if $how eq 'weak';
    $field{'Content-Encoding'} = 'gzip' if $how eq 'gzip';
    if ($how eq 'page206') {
        my $text = '<html><body>please log in' . ' ' x ($size - 25);
        my ($first, $last) = $range =~ /^bytes=(\d+)-(\d+)$/;
        $last = $size - 1 if $last >= $size;
        send_header($c, '206 Partial Content', %field, 'Content-Type' => 'text/html; charset=utf-8',
            'Content-Range' => "bytes $first-$last/$size", 'Content-Length' => $last - $first + 1);
        print $c substr $text, $first, $last - $first + 1;
        return 1;
    }

    # without ranges
    my ($first, $last) = $range =~ /^bytes=(\d+)-(\d*)$/;
    my $whole = !defined $first || $how =~ /^(noranges|nolength|nolengthcut|norangescut|endless200)$/
        || ($how eq 'whole' && $before > 0) || ($how eq 'wholeonce' && $before == 2)
        || ($how eq 'changed200' && $before > 0 && defined $head->{'if-range'} && $head->{'if-range'} ne $etag);
    if ($whole) {
        if ($how =~ /^nolength/ || $how eq 'endless200') {
            send_header($c, '200 OK', %field, 'Transfer-Encoding' => 'chunked');
            open my $fh, '<:raw', $path or return 0;
            my $sent = 0;
            while (my $n = read $fh, my $buf, 60000) {
                printf $c "%x\r\n%s\r\n", $n, $buf or return 0;
                $sent += $n;
                return 0 if $how eq 'nolengthcut' && $before == 0 && $sent > $size / 2;
            }
            print $c "0\r\n\r\n";
            return 1;
        }
        send_header($c, '200 OK', %field, 'Content-Length' => $size);
        if ($method ne 'HEAD') {
            send_body($c, $path, 0, $size - 1, $how eq 'norangescut' && $before < 2 ? $size / 2 : undef, 65536, 0);
            return 0 if $how eq 'norangescut' && $before < 2;
        }
        return 1;
    }

    if ($first >= $size) {
        send_header($c, '416 Range Not Satisfiable', %field, 'Content-Range' => "bytes */$size", 'Content-Length' => 0);
        return 1;
    }
    $last = $size - 1 if $last eq '' || $last >= $size;
    my ($say_first, $say_last, $total) = ($first, $last, $size);
    if ($before > 0) {
        if ($how eq 'wrongrange') { $say_first -= 512; $say_last -= 512 }
        if ($how eq 'wronglast') { $say_last = $last + 1000 }
        if ($how eq 'wrongtotal') { $total = $size + 1 }
    }
    my $length = $last - $first + 1;
    my %part = (%field, 'Content-Range' => "bytes $say_first-$say_last/$total", 'Content-Length' => $length);
    if ($how eq 'norange206') { delete $part{'Content-Range'} }
    if ($how eq 'badrange206') { $part{'Content-Range'} = 'bytes 5-1/banana' }
    if ($how eq 'hugerange206') { $part{'Content-Range'} = 'bytes 0-99999999999999999999/999999999999999999999' }
    if ($how eq 'multipart') { delete $part{'Content-Range'}; $part{'Content-Type'} = 'multipart/byteranges; boundary=x' }
    if ($how eq 'short' && $before > 0) { $part{'Content-Length'} = int($length / 2) }
    if ($how eq 'endless' && $before > 0) {
        delete $part{'Content-Length'};
        send_header($c, '206 Partial Content', %part, Connection => 'close');
        1 while print $c 'x' x 65536;
        return 0;
    }
    if ($how eq 'half') {                                  # less than asked for, honestly
        $last = $first + int(($last - $first) / 2);
        @part{'Content-Range', 'Content-Length'} = ("bytes $first-$last/$size", $last - $first + 1);
    }
    send_header($c, '206 Partial Content', %part);
    return 1 if $method eq 'HEAD';
    if ($how eq 'stall' && $before > 0) { send_body($c, $path, $first, $last, 5000, 65536, 0); hang() }
    if ($how eq 'stallonce' && $before % 4 == 1) { send_body($c, $path, $first, $last, 70000, 65536, 0); hang() }
    if ($how eq 'cut' && $before > 0) { send_body($c, $path, $first, $last, 100, 65536, 0); return 0 }
    if ($how eq 'cutonce' && $before % 3 == 1) { send_body($c, $path, $first, $last, 100000, 65536, 0); return 0 }
    if ($how eq 'trickle' && $before > 0) { send_body($c, $path, $first, $last, undef, 50, 0.5); return 1 }
    if ($how eq 'slow') { send_body($c, $path, $first, $last, undef, 65536, 0.03); return 1 }
    send_body($c, $path, $first, $last, undef, 65536, 0);
    return 1;
}
