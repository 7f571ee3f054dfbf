#!/usr/bin/perl

# tools/includes, which tells what includes what it may not.

use v5.36;

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

my $config = qq{ngx_addon_name=x\nngx_canary_rooms="core zone \\\n    api"\n};

my %good = (
    'core/a.h'   => "#include <stdint.h>\n",
    'core/a.c'   => qq{#include "a.h"\n},
    'zone/z.h'   => qq{#include "a.h"\n},
    'zone/y.h'   => qq{#include "z.h"\n#include "made.h"\n},
    'api/api.c'  => qq{#include "y.h"\n#include "z.h"\n#include "a.h"\n},
    'api/page/p' => qq{#include "none.h"\n},
);

is_deeply([ look(%good) ], [ 0, '' ], 'all includes go down');

is_deeply([ look(%good, 'core/a.c' => qq{#include "a.h"\n\n# include "z.h"\n},
                        'zone/z.c' => qq{#include "../api/w.h"\n},
                        'api/w.h'  => '') ],
          [ 1, 'src/core/a.c:3: "z.h" is of zone, which comes after core in '
               . "ngx_canary_rooms\n"
               . 'src/zone/z.c:1: "w.h" is of api, which comes after zone in '
               . "ngx_canary_rooms\n" ],
          'two that go up are named');

is_deeply([ look(%good, 'zone/z.h' => qq{#include "x.h"\n},
                        'zone/x.h' => qq{#include "y.h"\n}) ],
          [ 1, "a circle of includes: x.h -> y.h -> z.h -> x.h\n" ],
          'a circle of headers is told once');

is_deeply([ look(%good, 'extra/e.c' => '', 'extra/f.c' => '') ],
          [ 1, "src/extra is not in ngx_canary_rooms: core zone api\n" ],
          'a folder that is not in the list');

is_deeply([ look(%good, 'api/a.h' => '') ],
          [ 1, "a.h is in src/api and in src/core; an include names one "
               . "file\n" ],
          'two headers of one name');

$config = "ngx_addon_name=x\n";

my ($status, $said) = look(%good);

isnt($status, 0, 'a configuration without the list');
like($said, qr{^no ngx_canary_rooms="core \.\.\." in \S+/config$}, 'is told');

done_testing();


# exit status and what it says of such files

sub look(%files) {
    my $dir = tempdir(CLEANUP => 1);

    write_file("$dir/config", $config);

    for my $name (keys %files) {
        make_path("$dir/src/$name" =~ s{/[^/]+\z}{}r);
        write_file("$dir/src/$name", $files{$name});
    }

    my $said = qx{'$FindBin::Bin/../../tools/includes' '$dir' 2>&1};

    return ($? >> 8, $said);
}


sub write_file($path, $text) {
    open my $file, '>', $path or die "$path: $!\n";
    print {$file} $text;
    close $file or die "$path: $!\n";
}
